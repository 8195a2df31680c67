"""From files to a file: a painting that is kept, stopped and gone on with."""
