#!/usr/bin/env python3
"""Word errors of n-best lists before and after `unroll rescore`, beside a unigram model and the oracle.

The lists are made of the sentences of a text: in each hypothesis some words are deleted, exchanged with the
next, or replaced by words that are drawn as often as they occur in the training text. A hypothesis' own score
is the number of its changes with normal noise, as that of a recogniser which hears badly. Weights are tuned
on the first half of the lists and measured on the second.

    benchmarks/n_best.py --checkpoint RUN --train ptb/train.txt --text ptb/test.txt
"""
import argparse
import math
import random
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path


def corrupted(words, changes, vocabulary, draw):
    words = list(words)
    for _ in range(changes):
        if not words:
            break
        at = draw.randrange(len(words))
        kind = draw.choice(["delete", "exchange", "replace"])
        if kind == "delete":
            del words[at]
        elif kind == "exchange" and at + 1 < len(words):
            words[at], words[at + 1] = words[at + 1], words[at]
        else:
            words[at] = draw.choice(vocabulary)
    return words


def make_list(sentence, arguments, vocabulary, draw):
    """[(score, words)] with the best score first."""
    hypotheses = {}
    for _ in range(arguments.hypotheses):
        changes = draw.randint(0, arguments.changes)
        words = tuple(corrupted(sentence, changes, vocabulary, draw))
        hypotheses.setdefault(words, -changes + draw.gauss(0, arguments.noise))
    return sorted(((score, words) for words, score in hypotheses.items()), reverse=True)


def word_errors(got, wanted):
    row = list(range(len(wanted) + 1))
    for i, word in enumerate(got):
        diagonal, row[0] = row[0], i + 1
        for k, other in enumerate(wanted):
            replaced = diagonal + (word != other)
            diagonal = row[k + 1]
            row[k + 1] = min(replaced, diagonal + 1, row[k] + 1)
    return row[-1]


def error_rate(chosen, sentences):
    return sum(word_errors(a, b) for a, b in zip(chosen, sentences)) / sum(map(len, sentences))


def moses(lists):
    return "".join(f"{k} ||| {' '.join(words)} |||  ||| {score:.6f}\n"
                   for k, hypotheses in enumerate(lists) for score, words in hypotheses)


def first_hypotheses(text):
    chosen = {}
    for line in text.splitlines():
        number, words = line.split(" ||| ")[:2]
        chosen.setdefault(int(number), words.split())
    return [chosen[k] for k in sorted(chosen)]


def rescored(arguments, lists, flags):
    run = subprocess.run([arguments.unroll, "rescore", "--format", "moses", "--checkpoint", arguments.checkpoint,
                          "--device", "cpu", *flags],
                         input=moses(lists), capture_output=True, text=True, check=True)
    return first_hypotheses(run.stdout), run.stderr


def with_unigrams(lists, log_p, weight, bonus):
    def value(hypothesis):
        score, words = hypothesis
        return (1 - weight) * score + weight * sum(log_p[w] + bonus for w in words)
    return [max(hypotheses, key=value)[1] for hypotheses in lists]


def tuned_unigrams(lists, sentences, log_p):
    ratios = [2 ** (k / 2) for k in range(-16, 9)]
    settings = [(0.0, 0.0)] + [(r / (1 + r), b) for r in ratios for b in range(0, 13)]
    errors = {(k, h[1]): word_errors(h[1], s) for k, (l, s) in enumerate(zip(lists, sentences)) for h in l}
    def total(setting):
        return sum(errors[k, words] for k, words in enumerate(with_unigrams(lists, log_p, *setting)))
    return min(settings, key=total)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--unroll", default="build/bin/unroll")
    parser.add_argument("--lists", type=int, default=600)
    parser.add_argument("--hypotheses", type=int, default=50)
    parser.add_argument("--changes", type=int, default=5, help="at most, of a hypothesis")
    parser.add_argument("--noise", type=float, default=2)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    draw = random.Random(arguments.seed)
    vocabulary = Path(arguments.train).read_text().split()
    counts = Counter(vocabulary)
    log_p = Counter({word: math.log(count / len(vocabulary)) for word, count in counts.items()})
    unknown = math.log(1 / len(vocabulary))
    sentences = [line.split() for line in Path(arguments.text).read_text().splitlines() if line.strip()]
    sentences = draw.sample(sentences, min(arguments.lists, len(sentences)))
    for word in {w for s in sentences for w in s} - set(counts):
        log_p[word] = unknown
    lists = [make_list(s, arguments, vocabulary, draw) for s in sentences]
    half = len(lists) // 2

    with tempfile.NamedTemporaryFile("w", suffix=".txt") as reference:
        reference.write("".join(" ".join(s) + "\n" for s in sentences[:half]))
        reference.flush()
        notes = rescored(arguments, lists[:half], ["--tune", reference.name])[1]
    weight, bonus = re.search(r"--weight (\S+) --word-bonus (\S+)", notes).groups()
    model, _ = rescored(arguments, lists[half:], ["--weight", weight, "--word-bonus", bonus])
    plain, _ = rescored(arguments, lists[half:], ["--weight", weight])
    unigram_weight, unigram_bonus = tuned_unigrams(lists[:half], sentences[:half], log_p)

    wanted = sentences[half:]
    oracle = [min((h[1] for h in l), key=lambda words, s=s: word_errors(words, s))
              for l, s in zip(lists[half:], wanted)]
    print(f"{len(wanted)} lists of {sum(map(len, lists[half:])) / len(wanted):.1f} hypotheses, "
          f"{sum(map(len, wanted))} words")
    print(f"weight {weight}, word bonus {bonus}; unigram weight {unigram_weight:.3f}, bonus {unigram_bonus}")
    for name, chosen in [
            ("before", [l[0][1] for l in lists[half:]]),
            ("unigram", with_unigrams(lists[half:], log_p, unigram_weight, unigram_bonus)),
            ("model, no word bonus", plain),
            ("model", model),
            ("oracle", oracle)]:
        print(f"| {name} | {100 * error_rate(chosen, wanted):.2f} % |")


if __name__ == "__main__":
    main()
