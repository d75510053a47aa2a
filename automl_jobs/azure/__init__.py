"""The same job file in Azure ML: submit, watch, fetch, register.

In order: `place` (the names of an environment, from its stack) -> `login` -> `arm` (requests with bounded retries,
errors told) -> `data` and `storage` (assets by content) -> `body` (the job as REST has it) -> `submit` -> `jobs` (rows
as the run store has them) -> `fetch` (trials into the run store of this machine) -> `models`, `schedules`.

Requests go through azure-core, azure-identity and azure-storage-blob, the parts azure-ai-ml itself is made of; its
`load_job` reads every file before it is sent. It is imported there only: it takes longer than a whole `job list`.
"""
