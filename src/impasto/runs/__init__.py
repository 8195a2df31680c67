"""From files to files: a picture that nothing can lose, many pictures, films, and what is measured of them.

No command line is known here, nothing is printed: who wants to see a run is a `reporter.Reporter`. One way to stop and
go on serves the command line and the studio. A `job.Job` says what is painted, how, and where to, as plain data:

    job = Job(Path("photo.jpg"), (style_path("nocturne"),), Settings(size=1024), Path("out.png"))
    outcome = paint_file(job, painter, Silent(), Saving(Path("run")))    # saves now and then, and where it is stopped
    outcome = resume_file(Path("run"), painter, Silent())                 # in another process, after a crash

Whoever has a loop of their own (the studio's workers) saves by themselves; `checkpoint` is all they need:

    with Checkpoint(folder) as checkpoint:                  # held: nobody else may use it until it is closed
        checkpoint.save(progress.position, job.to_json())   # and whatever else JSON can hold
    for folder in checkpoints(root):                        # list, the newest first
        job = Job.from_json(job_in(folder))                 # look, without the tensors; refuses inputs that changed
        saved = load(folder)                                # with them: saved.position is for `Painter.steps(resume=)`
        forget(folder)                                      # remove
"""
