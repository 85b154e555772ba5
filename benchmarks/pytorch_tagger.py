"""Trains a tagger as `unroll train --task tag` does, in PyTorch: accuracy and seconds per epoch.

The network, batches, optimiser, schedule of the rate and choice of the epoch are the same;
random numbers are not. The CRF's recursion over time is a loop of PyTorch operations, as in
pytorch-crf. Exit status 3: not run, with the reason.
"""

import argparse
import random
import sys
import time
from pathlib import Path

try:
    import torch
except ImportError as missing:
    print(f"not run: {missing}", file=sys.stderr)
    sys.exit(3)

from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

COLUMN = {"upos": 3, "xpos": 4}
UNKNOWN, IGNORED = 0, -1


def read_sentences(path, column):
    """Pairs of forms and tags. Ranges (1-2) and empty nodes (1.1) are no words."""
    sentences, sentence = [], []
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        if not line and sentence:
            sentences.append(tuple(zip(*sentence)))
            sentence = []
        elif line and not line.startswith("#"):
            fields = line.split("\t")
            if fields[0].isdigit():
                sentence.append((fields[1], fields[column]))
    return sentences


def read_vectors(path):
    """Lines of word and numbers, perhaps after a line of two counts."""
    vectors = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            word, *values = line.rstrip().split(" ")
            if len(values) > 1:
                vectors.setdefault(word, [float(value) for value in values])
    return vectors


class Vocabulary:
    def __init__(self, train, vectors):
        self.counts = {}
        for forms, _ in train:
            for form in forms:
                self.counts[form] = self.counts.get(form, 0) + 1
        names = [*sorted(self.counts), *(word for word in vectors if word not in self.counts)]
        self.words = {word: k + 1 for k, word in enumerate(names)}
        self.characters = {c: k + 1 for k, c in enumerate(sorted(set("".join(self.counts))))}
        self.tags = {tag: k for k, tag in enumerate(sorted({t for _, tags in train for t in tags}))}

    def word(self, form):
        return self.words.get(form) or self.words.get(form.lower(), UNKNOWN)


class Batch:
    """Sentences of similar length, padded: words and targets [T, N], distinct forms [C, U]."""

    def __init__(self, sentences, vocabulary):
        self.lengths = torch.tensor([len(forms) for forms, _ in sentences])
        shape = int(self.lengths.max()), len(sentences)
        self.words = torch.zeros(shape, dtype=torch.long)
        self.forms = torch.zeros(shape, dtype=torch.long)
        self.targets = torch.full(shape, IGNORED)
        self.once = torch.zeros(shape, dtype=torch.bool)
        distinct = {}
        for n, (forms, tags) in enumerate(sentences):
            for t, (form, tag) in enumerate(zip(forms, tags)):
                self.words[t, n] = vocabulary.word(form)
                self.forms[t, n] = distinct.setdefault(form, len(distinct))
                self.targets[t, n] = vocabulary.tags.get(tag, IGNORED)
                self.once[t, n] = vocabulary.counts.get(form) == 1
        self.character_lengths = torch.tensor([len(form) for form in distinct])
        self.characters = torch.zeros(int(self.character_lengths.max()), len(distinct)).long()
        for u, form in enumerate(distinct):
            ids = [vocabulary.characters.get(c, UNKNOWN) for c in form]
            self.characters[: len(ids), u] = torch.tensor(ids)

    def mask(self):
        return torch.arange(len(self.words))[:, None] < self.lengths


def batches_of(sentences, vocabulary, size):
    by_length = sorted(sentences, key=lambda sentence: len(sentence[0]))
    return [Batch(by_length[k : k + size], vocabulary) for k in range(0, len(by_length), size)]


class Crf(torch.nn.Module):
    def __init__(self, tags):
        super().__init__()
        self.transitions = torch.nn.Parameter(torch.empty(tags, tags).uniform_(-0.1, 0.1))
        self.start = torch.nn.Parameter(torch.empty(tags).uniform_(-0.1, 0.1))
        self.end = torch.nn.Parameter(torch.empty(tags).uniform_(-0.1, 0.1))

    def loss(self, scores, targets, mask):
        """-ln P(tags | scores), summed over the sentences."""
        steps, batch, _ = scores.shape
        row = torch.arange(batch)
        tags = targets.clamp(min=0)
        alpha = self.start + scores[0]
        gold = alpha[row, tags[0]]
        for t in range(1, steps):
            after = torch.logsumexp(alpha[:, :, None] + self.transitions, 1) + scores[t]
            alpha = torch.where(mask[t][:, None], after, alpha)
            step = self.transitions[tags[t - 1], tags[t]] + scores[t, row, tags[t]]
            gold = gold + step * mask[t]
        last = tags[mask.sum(0) - 1, row]
        return (torch.logsumexp(alpha + self.end, 1) - gold - self.end[last]).sum()

    def decode(self, scores, mask):
        steps, batch, _ = scores.shape
        best, before = self.start + scores[0], []
        for t in range(1, steps):
            value, argument = (best[:, :, None] + self.transitions).max(1)
            before.append(argument)
            best = torch.where(mask[t][:, None], value + scores[t], best)
        tag = (best + self.end).argmax(1)
        tags = [tag]
        for t in range(steps - 1, 0, -1):
            earlier = before[t - 1].gather(1, tag[:, None])[:, 0]
            tag = torch.where(mask[t], earlier, tag)
            tags.append(tag)
        return torch.stack(tags[::-1])


def initialize(lstm):
    """Matrices by Xavier and orthogonal, gate by gate; biases 0, but 1 of the forget gate."""
    for name, parameter in lstm.named_parameters():
        for gate, block in enumerate(parameter.data.chunk(4)):
            if name.startswith("weight_ih"):
                torch.nn.init.xavier_uniform_(block)
            elif name.startswith("weight_hh"):
                torch.nn.init.orthogonal_(block)
            else:
                block.fill_(1.0 if gate == 1 and name.startswith("bias_ih") else 0.0)


class Tagger(torch.nn.Module):
    def __init__(self, args, vocabulary, vectors):
        super().__init__()
        self.drop = torch.nn.Dropout(args.dropout)
        self.encoder = torch.nn.Embedding(len(vocabulary.words) + 1, args.emsize)
        torch.nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        for word, vector in vectors.items():
            self.encoder.weight.data[vocabulary.words[word]] = torch.tensor(vector)
        self.encoder.weight.requires_grad = not args.freeze_vectors
        width = args.emsize + 2 * args.char_nhid
        self.rnn = torch.nn.LSTM(width, args.nhid, args.nlayers, bidirectional=True,
                                 dropout=args.dropout if args.nlayers > 1 else 0.0)
        initialize(self.rnn)
        self.spelling = None
        if args.char_nhid:
            self.char_encoder = torch.nn.Embedding(len(vocabulary.characters) + 1, args.char_emsize)
            torch.nn.init.uniform_(self.char_encoder.weight, -0.1, 0.1)
            self.spelling = torch.nn.LSTM(args.char_emsize, args.char_nhid, bidirectional=True)
            initialize(self.spelling)
        self.decoder = torch.nn.Linear(2 * args.nhid, len(vocabulary.tags))
        torch.nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        torch.nn.init.zeros_(self.decoder.bias)
        self.crf = Crf(len(vocabulary.tags)) if args.crf else None

    def scores(self, batch, words):
        x = self.encoder(words)
        if self.spelling:
            packed = pack_padded_sequence(self.char_encoder(batch.characters),
                                          batch.character_lengths, enforce_sorted=False)
            h = self.spelling(packed)[1][0].transpose(0, 1).flatten(1)
            x = torch.cat([x, h[batch.forms]], 2)
        packed = pack_padded_sequence(self.drop(x), batch.lengths, enforce_sorted=False)
        y, _ = pad_packed_sequence(self.rnn(packed)[0])
        return self.decoder(self.drop(y))

    def loss(self, scores, batch):
        """Summed over the tokens."""
        if self.crf:
            return self.crf.loss(scores, batch.targets, batch.mask())
        return torch.nn.functional.cross_entropy(scores.flatten(0, 1), batch.targets.flatten(),
                                                 ignore_index=IGNORED, reduction="sum")

    def tags(self, scores, batch):
        return self.crf.decode(scores, batch.mask()) if self.crf else scores.argmax(2)


def train_epoch(model, optimizer, batches, args):
    model.train()
    for batch in random.sample(batches, len(batches)):
        hidden = batch.once & (torch.rand(batch.once.shape) < args.unknown_rate)
        words = batch.words.masked_fill(hidden, UNKNOWN)
        optimizer.zero_grad()
        loss = model.loss(model.scores(batch, words), batch) / batch.lengths.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        optimizer.step()


@torch.no_grad()
def evaluate(model, batches):
    """Mean loss and accuracy. A tag that training has not is wrong, and not in the loss."""
    model.eval()
    loss = hits = tokens = 0
    for batch in batches:
        scores = model.scores(batch, batch.words)
        loss += float(model.loss(scores, batch))
        hits += int((model.tags(scores, batch) == batch.targets)[batch.mask()].sum())
        tokens += int(batch.lengths.sum())
    return loss / tokens, hits / tokens


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="with {train,dev,test}.conllu")
    parser.add_argument("--tag-column", default="upos", choices=COLUMN)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--freeze-vectors", action="store_true")
    parser.add_argument("--crf", action="store_true")
    for flag, value in [("emsize", 100), ("nhid", 128), ("nlayers", 1), ("char-emsize", 32),
                        ("char-nhid", 64), ("batch-size", 16), ("epochs", 12), ("seed", 1111),
                        ("threads", 2)]:
        parser.add_argument("--" + flag, type=int, default=value)
    for flag, value in [("dropout", 0.5), ("unknown-rate", 0.5), ("lr", 0.002),
                        ("weight-decay", 0.0), ("lr-decay", 4.0), ("clip", 5.0)]:
        parser.add_argument("--" + flag, type=float, default=value)
    return parser.parse_args()


def main():
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    train, dev, test = (read_sentences(args.data / f"{name}.conllu", COLUMN[args.tag_column])
                        for name in ("train", "dev", "test"))
    vectors = read_vectors(args.vectors) if args.vectors else {}
    vocabulary = Vocabulary(train, vectors)
    if vectors:
        args.emsize = len(next(iter(vectors.values())))
    train, dev, test = (batches_of(split, vocabulary, args.batch_size)
                        for split in (train, dev, test))
    model = Tagger(args, vocabulary, vectors)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.lr, weight_decay=args.weight_decay)
    print(f"# PyTorch {torch.__version__}, {args.threads} threads, "
          f"{sum(parameter.numel() for parameter in model.parameters())} parameters")
    print("epoch,seconds,dev_loss,dev_accuracy,test_accuracy")
    best = None
    for epoch in range(1, args.epochs + 1):
        start = time.perf_counter()
        train_epoch(model, optimizer, train, args)
        seconds = time.perf_counter() - start
        loss, accuracy = evaluate(model, dev)
        measures = loss, accuracy, evaluate(model, test)[1]
        row = epoch, f"{seconds:.2f}", *(f"{measure:.4f}" for measure in measures)
        print(*row, sep=",", flush=True)
        if best is None or loss < best[0]:
            best = loss, row
        else:
            for group in optimizer.param_groups:
                group["lr"] /= args.lr_decay
    print("# best:", *best[1])


main()
