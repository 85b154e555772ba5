"""Trained language models: what comes next, how probable a text is, and texts of their own.

    import unroll
    model = unroll.load("runs/demo")
    model.next("he ate the cake with the")["fork"]

A text is read from the beginning of a line. A model of words separates words at blanks, and a
newline is its token <eos>. One thread at a time may use a model. Errors are unroll.Error, one line
each. The package calls libunroll_lm.so, which lies beside it, or where UNROLL_LIBRARY says.
"""

import ctypes
import math
import os
from pathlib import Path

__all__ = ["Error", "Model", "NextTokens", "load"]


class Error(Exception):
    """A missing or damaged model, a text or an option that is refused, or a device that fails."""


class _GenerateOptions(ctypes.Structure):
    _fields_ = [
        ("prompt", ctypes.c_char_p),
        ("length", ctypes.c_int64),
        ("temperature", ctypes.c_double),
        ("top_k", ctypes.c_int64),
        ("top_p", ctypes.c_double),
        ("min_p", ctypes.c_double),
        ("unknown", ctypes.c_int),
        ("seed", ctypes.c_uint64),
    ]


def _open_library():
    beside = Path(__file__).parent / "libunroll_lm.so"
    library = ctypes.CDLL(os.environ.get("UNROLL_LIBRARY", beside))
    handle, text, real = ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_double)
    size = ctypes.c_size_t
    for name, result, *arguments in (
        ("error", text),
        ("load", handle, text, text, ctypes.c_int),
        ("free", None, handle),
        ("vocabulary", size, handle),
        ("next", handle, handle, text),
        ("next_free", None, handle),
        ("next_probability", ctypes.c_int, handle, text, real),
        ("next_most_probable", size, handle, size, ctypes.POINTER(text), real),
        ("score", ctypes.c_int, handle, text, real, ctypes.POINTER(size)),
        ("generate_defaults", _GenerateOptions),
        ("generate", handle, handle, ctypes.POINTER(_GenerateOptions)),
        ("text_free", None, handle),
    ):
        function = getattr(library, "unroll_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _open_library()


def _bytes(text):
    """A text of a model of bytes holds what is not UTF-8 as surrogates."""
    raw = os.fsencode(text) if isinstance(text, Path) else text.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise Error(f"text: got a NUL in {text!r}, expected none")
    return raw


def _text(raw):
    return raw.decode("utf-8", "surrogateescape")


def _sound(result):
    """A result that is neither NULL nor -1."""
    if result is None or result == -1:
        raise Error(_text(_library.unroll_error()))
    return result


class NextTokens:
    """P(token | history) for every token: next["fork"], and next.most_probable(10)."""

    def __init__(self, handle, size):
        self._handle, self._size = handle, size

    def __del__(self):
        _library.unroll_next_free(self._handle)

    def __len__(self):
        return self._size

    def __getitem__(self, token):
        """KeyError if it is not in the vocabulary."""
        probability = ctypes.c_double()
        if _library.unroll_next_probability(self._handle, _bytes(token), probability) != 0:
            raise KeyError(_text(_library.unroll_error()))
        return probability.value

    def most_probable(self, count=10):
        """[(token, probability)], the most probable first."""
        count = max(0, min(count, self._size))
        tokens, probabilities = (ctypes.c_char_p * count)(), (ctypes.c_double * count)()
        found = _library.unroll_next_most_probable(self._handle, count, tokens, probabilities)
        return [(_text(tokens[k]), probabilities[k]) for k in range(found)]


class Model:
    """A trained language model, made by load()."""

    def __init__(self, handle):
        self._handle = handle

    def __del__(self):
        _library.unroll_free(self._handle)

    def __len__(self):
        """Tokens of the vocabulary."""
        return _library.unroll_vocabulary(self._handle)

    def next(self, history=""):
        return NextTokens(_sound(_library.unroll_next(self._handle, _bytes(history))), len(self))

    def score(self, text):
        """ln P of the text, and how many tokens it has; end a sentence with a newline to score its
        end."""
        log_probability, tokens = ctypes.c_double(), ctypes.c_size_t()
        _sound(_library.unroll_score(self._handle, _bytes(text), log_probability, tokens))
        return log_probability.value, tokens.value

    def perplexity(self, text):
        log_probability, tokens = self.score(text)
        return math.exp(-log_probability / tokens) if tokens else math.nan

    def generate(self, prompt="", **options):
        """The prompt and what was drawn after it. Options: length, temperature, top_k, top_p,
        min_p, unknown (may draw <unk>), seed."""
        settings = _library.unroll_generate_defaults()
        settings.prompt = _bytes(prompt)
        known = [name for name, _ in _GenerateOptions._fields_]
        for name, value in options.items():
            if name not in known:
                raise TypeError(f"generate: got {name}, expected one of {', '.join(known)}")
            setattr(settings, name, value)
        text = _sound(_library.unroll_generate(self._handle, settings))
        try:
            return _text(ctypes.string_at(text))
        finally:
            _library.unroll_text_free(text)


def load(path, device="auto", threads=0):
    """The model of a run folder (its best checkpoint) or of one checkpoint."""
    return Model(_sound(_library.unroll_load(_bytes(path), _bytes(device), threads)))
