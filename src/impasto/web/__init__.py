"""The studio: a page on which anyone paints, and the same over HTTP (extra `web`).

`server.serve` is what `impasto web` runs. `page` (Gradio) and `api` (FastAPI) are two doors to one `workshop`, which
knows the visitors and their pictures and gives `jobs` what `work` says is to be done.
"""
