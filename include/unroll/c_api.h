/* A trained language model for programs in C, and for languages that call C. It is
 * unroll/language_model.h with handles in place of classes; that header says what texts and tokens
 * are. Link unroll::lm (libunroll_lm.so).
 *
 * A function that fails returns NULL or -1, and unroll_error() says why on one line. A text is
 * UTF-8 and ends in NUL. One thread at a time may use a model and what came from it; two models are
 * independent. Each handle is given back by its own free function, which takes NULL, too.
 */
#ifndef UNROLL_C_API_H
#define UNROLL_C_API_H

#include <stddef.h> /* NOLINT(modernize-deprecated-headers): this is C */
#include <stdint.h> /* NOLINT(modernize-deprecated-headers) */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct unroll_model unroll_model;
typedef struct unroll_next_tokens unroll_next_tokens;

/* What the last function that failed in this thread has to say; "" if none has. Valid until the
 * next call in this thread. */
const char* unroll_error(void);

/* `path`: a run folder of `unroll train`, or one checkpoint. `device`: "auto", "cpu", "cuda" or
 * "cuda:N"; `threads` on the processor, 0: one per processor that may be used. */
unroll_model* unroll_load(const char* path, const char* device, int threads);
void unroll_free(unroll_model* model);

/* Tokens of the vocabulary. */
size_t unroll_vocabulary(const unroll_model* model);

/* P(token | history) for every token. It may outlive the model. */
unroll_next_tokens* unroll_next(unroll_model* model, const char* history);
void unroll_next_free(unroll_next_tokens* next);
/* 0, or -1 if the token is not in the vocabulary. */
int unroll_next_probability(const unroll_next_tokens* next, const char* token, double* probability);
/* Fills both arrays with the most probable tokens, the most probable first, and returns how many
 * there are: `count`, or all of the vocabulary. The texts are valid until the next call for the
 * same handle, or until it is freed. */
size_t unroll_next_most_probable(unroll_next_tokens* next, size_t count, const char** tokens,
                                 double* probabilities);

/* ln P of a text, and how many tokens it has. The end of the text is no token: a sentence is scored
 * with its end if a newline follows it. `tokens` may be NULL. */
int unroll_score(unroll_model* model, const char* text, double* log_probability, size_t* tokens);

/* unroll/language_model.h, GenerateOptions. */
typedef struct unroll_generate_options {
  const char* prompt;
  int64_t length;
  double temperature;
  int64_t top_k; /* 0: all */
  double top_p;
  double min_p;
  int unknown; /* may draw <unk> */
  uint64_t seed;
} unroll_generate_options;

/* As `unroll generate` without flags: no prompt, 100 tokens, temperature 1, all tokens. But the
   seed is always the same. */
unroll_generate_options unroll_generate_defaults(void);

/* The prompt and the tokens that were drawn after it. */
char* unroll_generate(unroll_model* model, const unroll_generate_options* options);
void unroll_text_free(char* text);

#ifdef __cplusplus
}
#endif

#endif /* UNROLL_C_API_H */
