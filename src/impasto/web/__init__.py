"""The studio: a page on which anyone paints, and the same over HTTP (extra `web`).

`server.serve` is what `impasto web` runs. `static/` is the page, a client of `api` like any other. `api` asks one
`Studio`, which knows the visitors and their pictures and gives `jobs`, a queue, what `work` says is to be done.
"""
