"""The studio: what the command line knows and does, as pages in a browser on this machine.

Nothing here decides anything: a page shows what the functions behind a command give, and an action starts the command
that it shows. In order: `guard` lets nobody in but who started it; `calls` runs commands and keeps what they write;
`web` renders; `experiments`, `create`, `models` and `endpoints` have the pages; `app` puts them together and `server`
serves them on 127.0.0.1.
"""
