#include "host/data/word_splitter.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

TaggingVocabulary vocabulary_of(const std::vector<std::string>& words) {
  TaggingVocabulary vocabulary;
  for (const std::string& word : words) vocabulary.words.add(word);
  vocabulary.training_words = vocabulary.words.size();
  return vocabulary;
}

const TaggingVocabulary& english() {
  static const TaggingVocabulary vocabulary =
      vocabulary_of({"the", "dog", "n't", "'s", "'re", "Mr.", "e.g.", "...", "-", "/", "client",
                     "attorney", "and", "or", "do", ",", ".", "'", "well-known"});
  return vocabulary;
}

/// The words with '|' between them, where the line had no white space, and blanks elsewhere.
std::string split_typed(const std::string& line, const TaggingVocabulary& vocabulary = english()) {
  std::string text;
  for (const TypedWord& word : split_words(line, vocabulary)) {
    EXPECT_FALSE(word.text.empty());
    text += std::string(word.text) + (word.space_after ? " " : "|");
  }
  return text.empty() ? text : text.substr(0, text.size() - 1);
}

TEST(WordSplitter, WhiteSpaceSeparates) {
  EXPECT_EQ(split_typed("the dog"), "the dog");
  EXPECT_EQ(split_typed("  the\t dog\u00A0barks\u3000 \n"), "the dog barks");
  EXPECT_EQ(split_typed(""), "");
  EXPECT_EQ(split_typed(" \t\r\n\u2003"), "");
}

TEST(WordSplitter, PunctuationIsSplitOffAtBothEnds) {
  EXPECT_EQ(split_typed("(\"Dogs\", too!)"), "(|\"|Dogs|\"|, too|!|)");
  EXPECT_EQ(split_typed("\u201CDogs\u201D \u2014 \u00BFno?"),
            "\u201C|Dogs|\u201D \u2014 \u00BF|no|?");
  EXPECT_EQ(split_typed("$10 10% 1,000.50 3.14."), "$|10 10|% 1,000.50 3.14|.");
  EXPECT_EQ(split_typed("wait... so.."), "wait|... so|.|.");
  EXPECT_EQ(split_typed("?!"), "?|!");
  EXPECT_EQ(split_typed("@dog #dog _dog_"), "@dog #dog _dog_");
  EXPECT_EQ(split_typed("'Dogs' "), "'|Dogs|'");
}

TEST(WordSplitter, TrainingWordsStayWhole) {
  EXPECT_EQ(split_typed("Mr. Dog, e.g. E.g. mr."), "Mr. Dog|, e.g. E.g. mr|.");
  EXPECT_EQ(split_typed("(e.g.)"), "(|e.g.|)");
  EXPECT_EQ(split_typed("well-known"), "well-known");
  EXPECT_EQ(split_typed("U.S. U.S.A., No."), "U.S. U.S.A.|, No|.");
}

TEST(WordSplitter, CliticsAreThoseOfTheTrainingWords) {
  EXPECT_EQ(split_typed("don't Dog's, they're I'll"), "do|n't Dog|'s|, they|'re I'll");
  EXPECT_EQ(split_typed("DON'T don\u2019t dog\u2019s"), "DO|N'T do|n\u2019t dog|\u2019s");
  EXPECT_EQ(split_typed("(dog)'s shouldn't's"), "(|dog|)|'s should|n't|'s");
  EXPECT_EQ(split_typed("n't 's 'sdog"), "n't 's '|sdog");
  EXPECT_EQ(split_typed("don't", vocabulary_of({"do"})), "don't");
  // Words that only vectors have are no training words.
  TaggingVocabulary vocabulary = vocabulary_of({"'s"});
  vocabulary.words.add("n't");
  vocabulary.words.add("dog.");
  EXPECT_EQ(split_typed("don't dog's dog.", vocabulary), "don't dog|'s dog|.");
}

TEST(WordSplitter, HyphensAndSlashesSplitTrainingWords) {
  EXPECT_EQ(split_typed("attorney-client and/or Dog-the"), "attorney|-|client and|/|or Dog|-|the");
  EXPECT_EQ(split_typed("attorney-x http://dog/the."), "attorney-x http://dog/the|.");
  EXPECT_EQ(split_typed("the\u2013dog"), "the\u2013dog");  // a dash that training does not have
  EXPECT_EQ(split_typed("well-known", vocabulary_of({"well", "known"})), "well-known");
}

TEST(WordSplitter, WordsAreWithinTheLine) {
  const std::string line = "  (Don't) stop--the dog's!  ";
  const char* last = line.data();
  for (const TypedWord& word : split_words(line, english())) {
    for (const char* c = last; c < word.text.data(); ++c) EXPECT_EQ(*c, ' ');
    last = word.text.data() + word.text.size();
  }
  EXPECT_EQ(last, line.data() + line.size() - 2);
}

TEST(WordSplitter, LongLinesTakeTimeInProportion) {
  // Each would take hours if a step looked at all of the line.
  const std::size_t many = 300'000;
  EXPECT_EQ(split_words(std::string(many, '('), english()).size(), many);
  EXPECT_EQ(split_words("x" + std::string(many, '!'), english()).size(), many + 1);
  std::string clitics = "x", parts = "the";
  for (std::size_t k = 0; k < many; ++k) {
    clitics += "'s";
    parts += "-the";
  }
  EXPECT_EQ(split_words(clitics, english()).size(), many + 1);
  EXPECT_EQ(split_words(parts, english()).size(), 2 * many + 1);
  EXPECT_EQ(split_words(std::string(many, 'a'), english()).size(), 1U);
}

}  // namespace
}  // namespace unroll::test
