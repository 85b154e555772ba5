#!/usr/bin/env python3
"""Writes bpe.json: byte-pair encodings that the PyPI package `tokenizers` trained, and what it makes
of texts with them.

Needs `tokenizers` (the version used is in the file). Run as `make_bpe.py [output]`; the default is
bpe.json beside this script.
"""
import json
import pathlib
import sys

import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

TEXT = """The weather turned, and the boats that had left the harbour in the morning turned with it.
She'll say that they're late; we've heard it before, haven't we? It's 12:45, or 1234567 seconds.
Der Wetterbericht für die nächsten Tage: überwiegend bewölkt, örtlich Gewitter.
Les bateaux étaient déjà loin, là où la mer change de couleur.
Погода изменилась, и лодки вернулись в гавань.
天気が変わり、船は港に戻りました。今日は風が強いです。
날씨가 바뀌어 배들이 항구로 돌아왔다.
تغير الطقس وعادت القوارب إلى الميناء.
मौसम बदल गया और नावें लौट आईं।
    indented   text\tand\ttabs, then the end of the text and of the weather

"""
CASES = [
    "", " ", "  ", "\n", "\n\n", "a", " a", "  a", "a ", "a  ", "a\n\nb", "a \n b\n", "\r\n\r\nx", "!\n\n x",
    "The weather turned.", "THE WEATHER", "she'll SHE'LL 'tis rock'n'roll ''s 's'", "we'\u017fe 'LL 'Ve",
    "1234567 12 3", "x1y22z333", "über naïve e\u0301cole \u00e9cole \u0130stanbul \u03a3\u03c3\u03c2",
    "天気が変わり、船は", "날씨가 바뀌어", "تغير الطقس", "मौसम बदल", "Погода, погода!", "\U0001f600\U0001f3fd \u2014 ok",
    "\u00a0nbsp\u2003em\u3000ideographic\u2028line", "tab\tand  tab \t x", "<|endoftext|>the<|endoftext|>",
    "the <s>weather</s> <unk> <0x41>", "\u2581the\u2581 weather", "fi\ufb01 \u2460 \u00bd \u216b", "a\u0085b\u200bc",
    "\x01\x7f control", "zzzzqqqq \u4e00\u4e01\u4e02", "the the  the   the", "end of the text\n" * 3,
]

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_level(pre_tokenizer, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    return tokenizer, trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def characters(pre_tokenizer, normalizer=None, byte_fallback=True, fuse=True, strip=True):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=byte_fallback, fuse_unk=fuse))
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if strip else []))
    if normalizer:
        tokenizer.normalizer = normalizer
    special = ["<unk>", "<s>", "</s>"] + (BYTES if byte_fallback else [])
    return tokenizer, trainers.BpeTrainer(
        vocab_size=150 + len(special), special_tokens=special, limit_alphabet=60, show_progress=False)


def llama_words():
    """Llama 2's way: no pre_tokenizer, a normalizer that marks blanks."""
    return characters(None, normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]))


def split(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


MADE = {
    "gpt2": byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "prefix_space": byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "llama3": byte_level(split(LLAMA3), ignore_merges=True),
    "qwen2": byte_level(split(LLAMA3.replace("{1,3}", "")), normalizers.NFC()),
    "metaspace": characters(pre_tokenizers.Metaspace()),
    "metaspace_unknown": characters(
        pre_tokenizers.Metaspace(prepend_scheme="first"),
        normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]), byte_fallback=False),
    "metaspace_separate_unknown": characters(
        pre_tokenizers.Metaspace(prepend_scheme="never", split=False), normalizers.NFD(),
        byte_fallback=False, fuse=False, strip=False),
    "llama2": llama_words(),
}


def main():
    output = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("bpe.json"))
    made = []
    for name, (tokenizer, trainer) in MADE.items():
        # Byte tokens are of the model only, as in the files that are in use.
        tokenizer.train_from_iterator([TEXT], trainer)
        file = json.loads(tokenizer.to_str())
        file["added_tokens"] = [t for t in file["added_tokens"] if t["content"] not in BYTES]
        tokenizer = Tokenizer.from_str(json.dumps(file))
        cases = []
        for text in CASES:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            cases.append({"text": text, "ids": ids,
                          "decoded": tokenizer.decode(ids, skip_special_tokens=False)})
        made.append({"name": name, "file": json.dumps(file, ensure_ascii=False), "cases": cases})
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator([TEXT], trainers.BpeTrainer(
        vocab_size=500, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(trained.to_str())["model"]
    output.write_text(json.dumps({
        "tokenizers": tokenizers.__version__, "tokenizers_made": made, "text": TEXT,
        "trained": {"tokens": sorted(model["vocab"], key=model["vocab"].get),
                    "merges": [left + " " + right for left, right in model["merges"]]}},
        ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
