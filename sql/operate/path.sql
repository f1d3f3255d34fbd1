COALESCE(jsonb_path_match(job.params, $9::jsonpath, '{}', true), jsonb_path_exists(job.params, $9::jsonpath, '{}', true))
