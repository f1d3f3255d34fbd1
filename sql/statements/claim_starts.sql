-- Guarantees what a start does, for all jobs of the claim at once. $2 is the execution_timeout.
state = 'IN_PROGRESS',
           attempt = LEAST(job.attempt, 2147483646) + 1,
           lease = job.lease + 1,
           expires = now() + make_interval(secs => LEAST($2 * (job.attempt::float8 + 1), 1e9)),
