/// unroll score: how probable each line of a text is, line by line as they come.
#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <exception>
#include <memory>

#include "host/base/utf8.h"
#include "host/cli/commands.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/infer/line_input.h"
#include "host/infer/line_scores.h"
#include "host/infer/score.h"
#include "host/infer/token_json.h"

namespace unroll::cli {
namespace {

struct ScoreFlags {
  std::string checkpoint, data;
  bool carry = false, tokens = false, strict = false, json = false;
  DeviceFlags device;
};

/// Lines of a batch up to the first that cannot be scored, and why it cannot.
struct ReadLines {
  std::vector<LineText> lines;
  std::exception_ptr error;
};

ReadLines read_lines(const ScoreFlags& flags, const Tokenizer& tokenizer, const LineBatch& batch,
                     const std::string& name) {
  ReadLines read;
  for (std::size_t k = 0; k < batch.lines.size(); ++k) try {
      const bool last = k + 1 == batch.lines.size();
      read.lines.push_back(
          line_text(tokenizer, batch.lines[k], !flags.carry || !last || batch.ended));
      if (flags.strict && !read.lines.back().first_unknown.empty()) {
        const std::string unknown = in_quotes(read.lines.back().first_unknown);
        read.lines.pop_back();
        throw std::runtime_error(fmt::format(
            "{} is not in the model's vocabulary, expected only what is (--strict)", unknown));
      }
    } catch (const std::runtime_error& error) {
      read.error = std::make_exception_ptr(std::runtime_error(
          fmt::format("{}: line {}: {}", name, batch.first + std::int64_t(k), error.what())));
      break;
    }
  return read;
}

/// ln P of the tokens of each line.
std::vector<std::vector<float>> log_probs(Scorer& scorer, const std::vector<LineText>& lines,
                                          bool carry) {
  std::vector<std::vector<std::int32_t>> texts;
  if (!carry) {
    for (const LineText& line : lines) texts.push_back(line.ids);
    return scorer.score(texts);
  }
  std::vector<std::int32_t> piece;
  for (const LineText& line : lines) piece.insert(piece.end(), line.ids.begin(), line.ids.end());
  const std::vector<float> all = scorer.score_next(piece);
  std::vector<std::vector<float>> result;
  auto at = all.begin();
  for (const LineText& line : lines) {
    result.emplace_back(at, at + std::ssize(line.ids));
    at += std::ssize(line.ids);
  }
  return result;
}

class ScoreReport {
 public:
  ScoreReport(const ScoreFlags& flags, const Tokenizer& tokenizer)
      : flags_(flags), tokenizer_(tokenizer) {}

  std::string line(const LineText& line, std::span<const float> log_prob) {
    ScoreSums own;
    own.add(line, log_prob);
    sums_.add(line, log_prob);
    if (flags_.json) {
      Json json = {{"line", sums_.lines},
                   {"logprob", own.log_prob},
                   {"tokens", own.tokens},
                   {"ppl", own.perplexity()},
                   {"oov", own.unknown}};
      if (flags_.tokens) {
        json["token_logprobs"] = Json::array();
        for (std::size_t t = 0; t < line.ids.size(); ++t)
          json["token_logprobs"].push_back(
              {{"token", json_text(tokenizer_, line.ids[t])}, {"logprob", log_prob[t]}});
      }
      return json_line(json);
    }
    std::string text = fmt::format("{:.6f}", own.log_prob);
    if (flags_.tokens)
      for (std::size_t t = 0; t < line.ids.size(); ++t)
        text += fmt::format("\t{} {:.6f}", tokenizer_.label(line.ids[t]), log_prob[t]);
    return text + "\n";
  }

  void end() const {
    if (flags_.json) {
      print_json({{"lines", sums_.lines},
                  {"tokens", sums_.tokens},
                  {"oov", sums_.unknown},
                  {"logprob", sums_.log_prob},
                  {"loss", sums_.loss()},
                  {"ppl", sums_.perplexity()},
                  {"ppl_without_oov", sums_.known_perplexity()},
                  {"nats_per_word", sums_.nats_per_word()},
                  {"nats_per_character", sums_.nats_per_character()},
                  {"bits_per_byte", sums_.bits_per_byte()}});
      return;
    }
    note(
        fmt::format("lines {} | tokens {} | unknown {}", sums_.lines, sums_.tokens, sums_.unknown));
    if (sums_.tokens == 0) return;
    note(fmt::format("loss {:.6f} | ppl {:.3f} | ppl without unknown {:.3f}", sums_.loss(),
                     sums_.perplexity(), sums_.known_perplexity()));
    note(fmt::format("nats per word {:.4f} | nats per character {:.4f} | bits per byte {:.4f}",
                     sums_.nats_per_word(), sums_.nats_per_character(), sums_.bits_per_byte()));
  }

 private:
  const ScoreFlags& flags_;
  const Tokenizer& tokenizer_;
  ScoreSums sums_;
};

void run_score(const ScoreFlags& flags) {
  LineInput input = flags.data.empty() ? LineInput(STDIN_FILENO, "stdin")
                                       : LineInput(std::filesystem::path(flags.data));
  const LoadedModel model = load_model(flags.checkpoint, flags.device.open(), warn);
  const Tokenizer& tokenizer = task_of<LanguageModelTask>(model).tokenizer();
  Scorer scorer(model);
  ScoreReport report(flags, tokenizer);
  LineBatch batch;
  while (input.next(batch)) {
    const ReadLines read = read_lines(flags, tokenizer, batch, input.name());
    const auto log_prob = log_probs(scorer, read.lines, flags.carry);
    std::string out;
    for (std::size_t k = 0; k < read.lines.size(); ++k)
      out += report.line(read.lines[k], log_prob[k]);
    print_raw(out);
    if (read.error) std::rethrow_exception(read.error);
  }
  report.end();
}

}  // namespace

void add_score(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<ScoreFlags>();
  command->add_option("--checkpoint", flags->checkpoint, "Run folder (its best) or one checkpoint")
      ->required();
  command->add_option("--data", flags->data, "File of lines [stdin]");
  command->add_flag("--carry", flags->carry,
                    "The lines are one text: each is read after those before it");
  command->add_flag("--tokens", flags->tokens, "Also the log probability of each token");
  command->add_flag("--strict", flags->strict,
                    "Refuse words and characters that the model does not know");
  command->add_flag("--json", flags->json, "One JSON object a line, and a last one of the sums");
  flags->device.add_to(*command);
  command->footer("ln P of each line goes to stdout, the sums of all lines to stderr.");
  command->callback([flags, &run] { run = [flags] { run_score(*flags); }; });
}

}  // namespace unroll::cli
