"""What can go wrong that the user can mend."""


class ImpastoError(Exception):
    """Something the user can mend; the message names the file or option, the value, what is allowed, what to do.

    The command line prints it as `error: ...` and ends with status 2.
    """


class SettingsError(ImpastoError, ValueError):
    """A setting or an argument has a value that is not allowed."""


class ImageError(ImpastoError, OSError):
    """A picture cannot be read or written."""


class WeightsError(ImpastoError, OSError):
    """The network's weights are missing, damaged, or those of another network."""


class CheckpointError(ImpastoError, OSError):
    """A checkpoint is missing, damaged, in use, cannot be written, or does not fit."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on any device: torch has a kind of its own for CUDA only."""
    texts = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(text in str(error) for text in texts)
