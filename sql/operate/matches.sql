(($6::text[] IS NULL OR job.state = ANY ($6))
   AND ($7::text IS NULL OR {type} = $7)
   AND ($8::text IS NULL OR jsonb_typeof(job.errors -> -1 -> 'error') = 'array'
        AND EXISTS (SELECT FROM jsonb_array_elements_text(job.errors -> -1 -> 'error') AS said WHERE said ILIKE $8))
   AND ($9::text IS NULL OR {path})
   AND ($10::float8 IS NULL OR job.inserted_at <= now() - make_interval(secs => $10))
   AND ($11::float8 IS NULL OR job.inserted_at >= now() - make_interval(secs => $11))
   AND ($12::bigint[] IS NULL OR job.id = ANY ($12))
   AND ($13::bigint IS NULL OR job.node = $13 AND job.expires IS NOT NULL))
