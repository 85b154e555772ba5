#include "host/data/tagged_corpus.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "host/data/lower_case.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;
using Ids = std::vector<std::int32_t>;

constexpr const char* kTrainLines = "The\tDT\ndog\tNN\nbarks\tVB\n\nthe\tDT\ncat\tNN\n\nthe\tDT\n";
constexpr const char* kValidLines = "The\tDT\nDOG\tNN\nmeows\tVB\n!\tPUNCT\n";

TaggedSource two_columns(const std::string& text, const char* name) {
  return {TextSource(text, name), TaggedFormat::kTwoColumns};
}

TaggedCorpus corpus_of(const std::string& train, const std::string& valid,
                       const TaggedCorpusOptions& options = {}) {
  return read_tagged_corpus(
      {two_columns(train, "train"), two_columns(valid, "valid"), two_columns(valid, "test")},
      "sentences", options);
}

std::string corpus_error(const std::string& train, const std::string& valid = kValidLines) {
  return error_of<std::runtime_error>([&] { corpus_of(train, valid); });
}

Strings words_of(const TaggedCorpus& corpus, const TaggedSplit& split) {
  const Strings words = corpus.vocabulary->words.words();
  Strings texts;
  for (const std::int32_t form : split.forms)
    texts.push_back(words[std::size_t(split.distinct.words[std::size_t(form)])]);
  return texts;
}

std::shared_ptr<const WordVectors> vectors_of(const std::string& text) {
  return std::make_shared<const WordVectors>(read_word_vectors(TextSource(text, "vectors")));
}

TEST(TaggedCorpus, TrainingSentencesMakeTheVocabulary) {
  const TaggedCorpus corpus = corpus_of(kTrainLines, kValidLines);
  const TaggingVocabulary& vocabulary = *corpus.vocabulary;
  EXPECT_EQ(vocabulary.words.words(), (Strings{"<unk>", "the", "The", "dog", "barks", "cat"}));
  EXPECT_EQ(vocabulary.training_words, 6);
  EXPECT_EQ(vocabulary.tags.to_text(), "DT\nNN\nVB\n");
  const Strings characters = vocabulary.characters.words();
  EXPECT_EQ(characters[0], "<unk>");
  EXPECT_EQ(characters[1], "t");  // 3 times, like h and e, which come later
  EXPECT_EQ(vocabulary.characters.size(), 14);
}

TEST(TaggedCorpus, SplitsHaveSentencesAsIds) {
  const TaggedCorpus corpus = corpus_of(kTrainLines, kValidLines);
  const TaggedSplit& train = *corpus.train;
  EXPECT_EQ(train.begins, (std::vector<std::int64_t>{0, 3, 5, 6}));
  EXPECT_EQ(train.size(), 3);
  EXPECT_EQ(train.length(1), 2);
  EXPECT_EQ(train.forms, (Ids{0, 1, 2, 3, 4, 3}));
  EXPECT_EQ(train.tags, (Ids{0, 1, 2, 0, 1, 0}));
  EXPECT_EQ(train.distinct.texts, (Strings{"The", "dog", "barks", "the", "cat"}));
  EXPECT_EQ(train.distinct.counts, (Ids{1, 1, 1, 2, 1}));
  EXPECT_EQ(words_of(corpus, train), (Strings{"The", "dog", "barks", "the", "cat", "the"}));
  // A word that training does not have is looked up in lower case; a tag that it does not have is
  // counted.
  const TaggedSplit& valid = *corpus.valid;
  EXPECT_EQ(words_of(corpus, valid), (Strings{"The", "dog", "<unk>", "<unk>"}));
  EXPECT_EQ(valid.distinct.in_training, (std::vector<std::uint8_t>{1, 0, 0, 0}));
  EXPECT_EQ(valid.tags, (Ids{0, 1, 2, kIgnoredId}));
  const Strings characters = corpus.vocabulary->characters.words();
  std::string spelled;
  for (const std::int32_t id : valid.distinct.characters_of(2))
    spelled += characters[std::size_t(id)];
  EXPECT_EQ(spelled, "<unk>eo<unk>s");  // no training word has m or w
}

TEST(TaggedCorpus, StatisticsCountTokens) {
  const TaggedCorpus corpus = corpus_of(kTrainLines, kValidLines);
  const TaggedStatistics& train = corpus.train->statistics;
  EXPECT_EQ(train.sentences, 3);
  EXPECT_EQ(train.tokens, 6);
  EXPECT_EQ(train.longest, 3);
  EXPECT_EQ(train.longest_form, 5);
  EXPECT_EQ(train.unknown, 0);
  EXPECT_EQ(train.without_id, 0);
  EXPECT_EQ(train.per_tag, (std::vector<std::int64_t>{3, 2, 1}));
  EXPECT_TRUE(train.unknown_tags.empty());
  const TaggedStatistics& valid = corpus.valid->statistics;
  EXPECT_EQ(valid.unknown, 3);
  EXPECT_EQ(valid.without_id, 2);
  EXPECT_EQ(valid.per_tag, (std::vector<std::int64_t>{1, 1, 1}));
  EXPECT_EQ(valid.unknown_tags, (std::map<std::string, std::int64_t>{{"PUNCT", 1}}));
}

TEST(TaggedCorpus, CharactersAreCodePoints) {
  const TaggedCorpus corpus = corpus_of("\u00E9t\u00E9\tA\n\u4E2D\u00E9\tB\n", "\u00E9\tA\n");
  EXPECT_EQ(corpus.vocabulary->characters.words(), (Strings{"<unk>", "\u00E9", "t", "\u4E2D"}));
  const auto ids = corpus.train->distinct.characters_of(0);
  EXPECT_EQ(Ids(ids.begin(), ids.end()), (Ids{1, 2, 1}));
  EXPECT_EQ(corpus.train->statistics.longest_form, 3);
}

TEST(TaggedCorpus, WordsOfVectorsJoinTheVocabulary) {
  TaggedCorpusOptions options;
  options.vectors = vectors_of("meows 1\nthe 2\nDOG 3\n<unk> 4\ncat 5\n");
  const TaggedCorpus corpus = corpus_of(kTrainLines, kValidLines, options);
  EXPECT_EQ(corpus.vocabulary->words.words(),
            (Strings{"<unk>", "the", "The", "dog", "barks", "cat", "meows", "DOG"}));
  EXPECT_EQ(corpus.vocabulary->training_words, 6);
  EXPECT_EQ(words_of(corpus, *corpus.valid), (Strings{"The", "DOG", "meows", "<unk>"}));
  EXPECT_EQ(corpus.valid->statistics.unknown, 3);  // a vector does not make a word one of training
  EXPECT_EQ(corpus.valid->statistics.without_id, 1);
  EXPECT_EQ(vector_rows(*corpus.vocabulary, *options.vectors),
            (std::vector<std::int64_t>{3, 1, 1, -1, -1, 4, 0, 2}));
  const VectorCoverage train = coverage_of(*corpus.train, *options.vectors);
  EXPECT_EQ(train.as_written, 3);  // the, the, cat
  EXPECT_EQ(train.in_lower_case, 1);
  EXPECT_EQ(train.forms, 3);
  EXPECT_NE(corpus.fingerprint, corpus_of(kTrainLines, kValidLines).fingerprint);
}

TEST(TaggedCorpus, AWordLikeTheUnknownOneIsUnknown) {
  const TaggedCorpus corpus = corpus_of("<unk>\tA\na\tB\n", "a\tA\n");
  EXPECT_EQ(corpus.vocabulary->words.words(), (Strings{"<unk>", "a"}));
  EXPECT_EQ(corpus.train->distinct.in_training, (std::vector<std::uint8_t>{0, 1}));
}

TEST(TaggedCorpus, BadFilesAreNamed) {
  EXPECT_EQ(corpus_error(""), "train: has no sentence, expected lines of a word and its tag");
  EXPECT_EQ(corpus_error("\n\n"), "train: has no sentence, expected lines of a word and its tag");
  EXPECT_EQ(corpus_error(kTrainLines, ""),
            "valid: has no sentence, expected lines of a word and its tag");
  EXPECT_EQ(corpus_error("a\tA\n"), "train: got only the class 'A', expected 2 classes or more");
  EXPECT_EQ(corpus_error("a\tA\nb\n"), "train: line 2: got 1 column in 'b', expected word<TAB>tag");
  EXPECT_EQ(corpus_error(kTrainLines, "the\tDET\ndog\tNOUN\n"),
            "valid: got only tags that training lacks, such as 'DET', expected some of 'DT', 'NN', "
            "'VB'");
}

TEST(TaggedCorpus, FingerprintsAreThoseOfTheFiles) {
  const std::string fingerprint = corpus_of(kTrainLines, kValidLines).fingerprint;
  EXPECT_EQ(corpus_of(kTrainLines, kValidLines).fingerprint, fingerprint);
  EXPECT_NE(corpus_of(kTrainLines, std::string(kValidLines) + "\n").fingerprint, fingerprint);
  EXPECT_NE(corpus_of(kTrainLines, kValidLines, {.column = TagColumn::kXpos}).fingerprint,
            fingerprint);
  EXPECT_NO_THROW(corpus_of(kTrainLines, kValidLines, {.fingerprint = fingerprint}));
  EXPECT_EQ(error_of<std::runtime_error>(
                [&] { corpus_of(kTrainLines, kValidLines, {.fingerprint = "x"}); }),
            "sentences: are not the sentences that the run was begun with: got fingerprint " +
                fingerprint + ", expected x");
}

TEST(TaggedCorpus, ReadingStopsWhenAsked) {
  const std::atomic<bool> stop = true;
  EXPECT_THROW(corpus_of(kTrainLines, kValidLines, {.stop = &stop}), Interrupted);
}

TEST(TaggedCorpus, SentencesNeedNoTags) {
  const TaggedCorpus corpus = corpus_of(kTrainLines, kValidLines);
  const TaggedSplit split =
      untagged_split(std::vector<Strings>{{"The", "fish"}, {"DOG"}}, *corpus.vocabulary);
  EXPECT_EQ(split.begins, (std::vector<std::int64_t>{0, 2, 3}));
  EXPECT_EQ(split.tags, (Ids{kIgnoredId, kIgnoredId, kIgnoredId}));
  EXPECT_EQ(words_of(corpus, split), (Strings{"The", "<unk>", "dog"}));
  EXPECT_TRUE(split.statistics.unknown_tags.empty());
  EXPECT_EQ(split.statistics.unknown, 2);
  EXPECT_EQ(untagged_split({}, *corpus.vocabulary).size(), 0);
  const auto wrong = [&](const Strings& sentence) {
    return error_of<std::invalid_argument>(
        [&] { untagged_split(std::vector<Strings>{sentence}, *corpus.vocabulary); });
  };
  EXPECT_EQ(wrong({}), "a sentence of 0 words, expected 1 to 1048576");
  EXPECT_EQ(wrong({"a\tb"}),
            "the word 'a\\x09b', expected UTF-8 without white space, but blanks within it");
}

// ---- folders

class TaggedFiles : public ::testing::Test {
 protected:
  Strings found() const {
    Strings names;
    for (const fs::path& file : find_tagged_files(folder_.path()))
      names.push_back(file.filename().string());
    return names;
  }
  std::string corpus_error() const {
    const std::string text =
        error_of<std::runtime_error>([&] { find_tagged_files(folder_.path()); });
    const std::string path = folder_.path().string();
    return text.starts_with(path) ? text.substr(path.size()) : text;
  }
  TempFolder folder_;
};

TEST_F(TaggedFiles, HaveTheNamesOfTheirSplits) {
  for (const Strings& names :
       {Strings{"train.conllu", "dev.conllu", "test.conllu"},
        Strings{"en_x-ud-train.conllu", "en_x-ud-dev.conllu", "en_x-ud-test.conllu"},
        Strings{"train.tsv", "valid.tsv", "test.tsv"}, Strings{"train.conllu", "valid.tsv", ""}}) {
    for (const auto& old : fs::directory_iterator(folder_.path())) fs::remove(old);
    folder_.write("README.txt", "");
    for (const std::string& name : names)
      if (!name.empty()) folder_.write(name, "");
    EXPECT_EQ(found(), names);
  }
}

TEST_F(TaggedFiles, MissingAndSurplusFilesAreNamed) {
  const std::string expected =
      ".conllu, expected train, dev and test.conllu, the same after '-ud-', or train, dev and "
      "test.tsv";
  EXPECT_EQ(corpus_error(), ": no train" + expected);
  folder_.write("train.conllu", "");
  EXPECT_EQ(corpus_error(), ": no dev" + expected);
  folder_.write("dev.conllu", "");
  folder_.write("valid.tsv", "");
  EXPECT_EQ(corpus_error(), ": got dev.conllu and valid.tsv, expected one of them");
  EXPECT_TRUE(
      contains(error_of<std::runtime_error>([&] { find_tagged_files(folder_.path() / "no"); }),
               "no: no such folder"));
  EXPECT_TRUE(contains(
      error_of<std::runtime_error>([&] { find_tagged_files(folder_.path() / "dev.conllu"); }),
      "dev.conllu: is not a folder, expected one with train, dev and test.conllu"));
}

TEST_F(TaggedFiles, FormatsFollowFromNamesOrElseFromTheText) {
  const auto format = [&](const std::string& name, const std::string& text) {
    return tagged_source(folder_.write(name, text)).format;
  };
  EXPECT_EQ(format("a.conllu", "the\tDT\n"), TaggedFormat::kConllu);
  EXPECT_EQ(format("a.tsv", "1\tthe\tthe\tDT\n"), TaggedFormat::kTwoColumns);
  EXPECT_EQ(format("a.data", "1\tthe\tthe\tDT\n"), TaggedFormat::kConllu);
  EXPECT_EQ(format("a.data", "the\tDT\n"), TaggedFormat::kTwoColumns);
  ASSERT_EQ(::mkfifo((folder_.path() / "pipe.conllu").c_str(), 0600), 0);
  EXPECT_TRUE(
      contains(error_of<std::runtime_error>([&] { tagged_source(folder_.path() / "pipe.conllu"); }),
               "is a pipe"));
}

TEST_F(TaggedFiles, AFolderIsRead) {
  folder_.write("train.tsv", kTrainLines);
  folder_.write("valid.tsv", kValidLines);
  const TaggedCorpus corpus = read_tagged_corpus(folder_.path(), {});
  EXPECT_EQ(corpus.train->size(), 3);
  EXPECT_EQ(corpus.test, nullptr);
  EXPECT_EQ(corpus.name, folder_.path().string());
  folder_.write("test.tsv", "the\tDT\n");
  EXPECT_EQ(read_tagged_corpus(folder_.path(), {}).test->size(), 1);
  EXPECT_NE(read_tagged_corpus(folder_.path(), {}).fingerprint, corpus.fingerprint);
}

TEST(TaggedCorpus, PartutHasItsCounts) {
  const char* data = std::getenv("UNROLL_DATA");  // NOLINT(concurrency-mt-unsafe)
  const fs::path folder = fs::path(data ? data : "../shared/data") / "ud_english_partut";
  if (!fs::exists(folder)) GTEST_SKIP() << "no English ParTUT at " << folder;
  const TaggedCorpus corpus = read_tagged_corpus(folder, {});
  // By an awk over the files: lines whose first column is a whole number.
  EXPECT_EQ(corpus.train->statistics.tokens, 43'504);
  EXPECT_EQ(corpus.valid->statistics.tokens, 2'722);
  EXPECT_EQ(corpus.test->statistics.tokens, 3'408);
  EXPECT_EQ(corpus.train->distinct.size(), 6'961);
  EXPECT_EQ(corpus.test->distinct.size(), 1'136);
  EXPECT_EQ(corpus.vocabulary->words.size(), 6'962);
  EXPECT_EQ(corpus.train->statistics.longest_form, 19);
  EXPECT_EQ(corpus.vocabulary->tags.size(), 17);
  for (const char* file : {"train.conllu", "dev.conllu", "test.conllu"}) {
    const std::string text = read_text(folder / file);
    TaggedReader reader(TextSource(text, file), {});
    std::string copy;
    for (TaggedLines lines; reader.next(lines);)
      for (const std::string& line : lines.lines()) copy += line;
    EXPECT_TRUE(copy == text) << file;
  }
}

// ---- known words

TEST(KnownWords, AreReadBackAsWritten) {
  KnownWords known;
  for (const char* word : {"b", "New York", "a", "\u00C9t\u00E9", " "}) known.add(word);
  EXPECT_EQ(known.add("a"), 3);
  EXPECT_EQ(known.to_text(), "<unk>\nb\nNew York\na\n\u00C9t\u00E9\n \n");
  const KnownWords again = KnownWords::parse(known.to_text(), "words.txt");
  EXPECT_EQ(again.words(), known.words());
  EXPECT_EQ(again.find("New York"), 2);
  EXPECT_EQ(again.find("A"), KnownWords::kUnknown);
  EXPECT_EQ(again.find_in_any_case("A"), 3);
  EXPECT_EQ(again.find_in_any_case("\u00C9T\u00C9"), KnownWords::kUnknown);
  EXPECT_EQ(again.find("<unk>"), KnownWords::kUnknown);
}

TEST(KnownWords, BadLinesAreNamed) {
  const auto wrong = [](const std::string& text) {
    return error_of<std::runtime_error>([&] { KnownWords::parse(text, "words.txt"); });
  };
  EXPECT_EQ(wrong("<unk>"), "no exception");
  EXPECT_EQ(wrong(""), "words.txt: line 1: got '', expected <unk>");
  EXPECT_EQ(wrong("a\n"), "words.txt: line 1: got 'a', expected <unk>");
  EXPECT_EQ(wrong("<unk>\na\n\nb\n"),
            "words.txt: line 3: got '', expected UTF-8 without white space, but blanks within it");
  EXPECT_TRUE(contains(wrong("<unk>\na \n"), "words.txt: line 2: got 'a ', expected UTF-8"));
  EXPECT_EQ(wrong("<unk>\na\na\n"), "words.txt: line 3: got 'a', expected each word once");
  EXPECT_EQ(wrong("<unk>\n<unk>\n"), "words.txt: line 2: got '<unk>', expected each word once");
  EXPECT_EQ(wrong("<unk>\n\xFF\n"),
            "words.txt: line 2: got '\\xff', expected UTF-8 without white space, but blanks within "
            "it");
}

TEST(LowerCase, CoversTheLettersOfEurope) {
  EXPECT_EQ(lower_case("THE \u00C9T\u00C9 \u00D7 \u0130 \u0141\u00D3D\u0179 \u0178 \u01A0"),
            "the \u00E9t\u00E9 \u00D7 i \u0142\u00F3d\u017A \u00FF \u01A1");
  EXPECT_EQ(lower_case("\u0386\u0395\u03A3 \u041C\u041E\u0421\u041A\u0412\u0410 \u0401\u0490"),
            "\u03AC\u03B5\u03C3 \u043C\u043E\u0441\u043A\u0432\u0430 \u0451\u0491");
  EXPECT_EQ(lower_case("\u0531\u1EA0\u1E9E"), "\u0561\u1EA1\u00DF");
  for (const char* same : {"", "abc 123 ,.", "\u00E9\u00FF\u00F7", "\u0138\u0149",
                           "\u4E2D\U0001F600", "\u03C2\u0390", "\u0482\u1E95", "@[`{"})
    EXPECT_EQ(lower_case(same), same);
}

}  // namespace
}  // namespace unroll::test
