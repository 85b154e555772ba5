/// A trained language model: what comes next, how probable a text is, and texts of its own.
///
///   unroll::LanguageModel model = unroll::LanguageModel::load("runs/ptb");
///   double p = model.next("he ate the cake with the").probability("fork");
///
/// For programs that link unroll::lm; they need neither unroll::unroll nor another header. A text
/// is UTF-8 (with a model of bytes, any bytes), read from the beginning of a line: before its first
/// token stands the end of a line. For a model of words, words are separated by blanks, and a
/// newline is the token <eos>.
///
/// One thread at a time may use a model. Two models are independent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace unroll {

struct LanguageModelOptions {
  std::string device = "auto";  // "auto" (the first usable GPU, else the processor), "cpu", "cuda"
                                // or "cuda:N"
  int threads = 0;              // on the processor; 0: one per processor that may be used
  /// Gets lines that a user should read although nothing has failed: which words of a text the
  /// model does not know and reads as <unk>, or that a damaged checkpoint gave way to another.
  /// Empty: they are dropped.
  std::function<void(const std::string&)> warn = {};
};

struct NextToken {
  std::string token;  // a word, "<eos>", "<unk>", or the bytes of a character
  double probability;
};

/// P(token | history) for every token of the vocabulary: a value, which may outlive the model.
class NextTokens {
 public:
  /// The first of them, all if there are fewer. Equally probable ones are in the vocabulary's
  /// order.
  std::vector<NextToken> most_probable(std::size_t count) const;
  /// Errors    std::invalid_argument if `token` is not in the vocabulary.
  double probability(std::string_view token) const;
  double log_probability(std::string_view token) const;
  std::size_t size() const;

 private:
  friend class LanguageModel;
  struct Values;
  explicit NextTokens(std::shared_ptr<const Values> values);
  std::shared_ptr<const Values> values_;
};

struct TokenScore {
  std::string token;       // as in NextToken; "<unk>" for a word that the model does not know
  double log_probability;  // ln P(token | the tokens before it)
};

struct TextScore {
  std::vector<TokenScore> tokens;
  double log_probability = 0;  // of the text: the sum over its tokens

  /// e to the mean of -ln P over the tokens; NaN for a text without tokens.
  double perplexity() const;
};

struct GenerateOptions {
  std::string prompt;         // how the text begins
  std::int64_t length = 100;  // tokens to draw
  double temperature = 1;     // below 1 favours probable tokens; 0 always takes the most probable
  std::int64_t top_k = 0;     // only the k most probable tokens; 0: all
  double top_p = 1;           // only the most probable tokens that together reach this
  double min_p = 0;           // only tokens at least this many times as probable as the first
  bool unknown = true;        // may draw <unk>
  std::uint64_t seed = 1111;
};

/// Errors    of all functions: std::invalid_argument if an argument is out of its range, or a text
///           is not UTF-8; std::runtime_error if a probability is not a finite number, memory runs
///           out, or the device fails. What they say is one line.
class LanguageModel {
 public:
  /// `path`: a run folder of `unroll train`, whose best checkpoint is taken, or one checkpoint.
  /// Errors    std::runtime_error, naming the file, if it is missing, damaged, or not a language
  ///           model's; or if the device cannot be used. std::invalid_argument for options.
  static LanguageModel load(const std::filesystem::path& path,
                            const LanguageModelOptions& options = {});
  LanguageModel(LanguageModel&& other) noexcept;
  LanguageModel& operator=(LanguageModel&& other) noexcept;
  ~LanguageModel();

  /// What follows `history`.
  NextTokens next(std::string_view history);
  /// The log probability of each token of a text. The end of the text is no token: a sentence is
  /// scored with its end if a newline follows it.
  TextScore score(std::string_view text);
  /// The prompt and the tokens that were drawn after it, as `unroll generate` writes them. The same
  /// options give the same text.
  std::string generate(const GenerateOptions& options = {});

  // Several texts at once, which takes less time. Each result is that of its text only, but on a
  // GPU products of several rows may round otherwise.
  std::vector<NextTokens> next_batch(const std::vector<std::string>& histories);
  std::vector<TextScore> score_batch(const std::vector<std::string>& texts);
  /// A text for each prompt; that of the options is not used. The first is what generate() draws;
  /// each has random numbers of its own, so equal prompts give different texts.
  std::vector<std::string> generate_batch(const std::vector<std::string>& prompts,
                                          const GenerateOptions& options = {});

  /// Tokens of the vocabulary.
  std::size_t vocabulary() const;
  /// For people, one line: the cell and its sizes.
  std::string describe() const;

 private:
  struct Parts;
  explicit LanguageModel(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace unroll
