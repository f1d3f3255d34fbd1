-- Guarantees that nobody else claims the job, and that it is not started yet. $2 is the reservation_timeout.
state = 'RESERVED',
           expires = now() + make_interval(secs => $2),
