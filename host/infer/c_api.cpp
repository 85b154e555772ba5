/// unroll/c_api.h over the public class: exceptions become unroll_error().
#include "unroll/c_api.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "unroll/language_model.h"

struct unroll_model {
  unroll::LanguageModel model;
};

struct unroll_next_tokens {
  unroll::NextTokens next;
  std::vector<unroll::NextToken> most_probable = {};  // what the last answer points to
};

namespace {

std::string& last_error() {
  thread_local std::string error;
  return error;
}

/// What `call` returns, or `failed` after an exception.
template <typename Result, typename Call>
Result guarded(Result failed, Call&& call) noexcept {
  try {
    return call();
  } catch (const std::exception& error) {
    try {
      last_error() = error.what();
    } catch (const std::bad_alloc&) {
      last_error().clear();
    }
    return failed;
  }
}

const char* required(const char* text, const char* what) {
  if (!text) throw std::invalid_argument(std::string(what) + ": got NULL, expected a text");
  return text;
}

}  // namespace

const char* unroll_error() {
  return last_error().c_str();
}

unroll_model* unroll_load(const char* path, const char* device, int threads) {
  return guarded<unroll_model*>(nullptr, [&] {
    unroll::LanguageModelOptions options;
    options.device = required(device, "device");
    options.threads = threads;
    return new unroll_model{unroll::LanguageModel::load(required(path, "path"), options)};
  });
}

void unroll_free(unroll_model* model) {
  delete model;
}

size_t unroll_vocabulary(const unroll_model* model) {
  return model->model.vocabulary();
}

unroll_next_tokens* unroll_next(unroll_model* model, const char* history) {
  return guarded<unroll_next_tokens*>(nullptr, [&] {
    return new unroll_next_tokens{model->model.next(required(history, "history"))};
  });
}

void unroll_next_free(unroll_next_tokens* next) {
  delete next;
}

int unroll_next_probability(const unroll_next_tokens* next, const char* token,
                            double* probability) {
  return guarded(-1, [&] {
    *probability = next->next.probability(required(token, "token"));
    return 0;
  });
}

size_t unroll_next_most_probable(unroll_next_tokens* next, size_t count, const char** tokens,
                                 double* probabilities) {
  return guarded<size_t>(0, [&] {
    next->most_probable = next->next.most_probable(count);
    for (std::size_t k = 0; k < next->most_probable.size(); ++k) {
      tokens[k] = next->most_probable[k].token.c_str();
      probabilities[k] = next->most_probable[k].probability;
    }
    return next->most_probable.size();
  });
}

int unroll_score(unroll_model* model, const char* text, double* log_probability, size_t* tokens) {
  return guarded(-1, [&] {
    const unroll::TextScore score = model->model.score(required(text, "text"));
    *log_probability = score.log_probability;
    if (tokens) *tokens = score.tokens.size();
    return 0;
  });
}

unroll_generate_options unroll_generate_defaults() {
  const unroll::GenerateOptions defaults;
  return {"",
          defaults.length,
          defaults.temperature,
          defaults.top_k,
          defaults.top_p,
          defaults.min_p,
          defaults.unknown ? 1 : 0,
          defaults.seed};
}

char* unroll_generate(unroll_model* model, const unroll_generate_options* options) {
  return guarded<char*>(nullptr, [&] {
    const unroll_generate_options& o = *options;
    const std::string text = model->model.generate({.prompt = required(o.prompt, "prompt"),
                                                    .length = o.length,
                                                    .temperature = o.temperature,
                                                    .top_k = o.top_k,
                                                    .top_p = o.top_p,
                                                    .min_p = o.min_p,
                                                    .unknown = o.unknown != 0,
                                                    .seed = o.seed});
    // A model of bytes may draw a NUL, which ends a text of C.
    char* const copy = ::strdup(text.c_str());
    if (!copy) throw std::bad_alloc();
    return copy;
  });
}

void unroll_text_free(char* text) {
  std::free(text);  // NOLINT(cppcoreguidelines-no-malloc): strdup()'s
}
