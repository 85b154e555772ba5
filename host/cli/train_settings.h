/// Everything that decides what a training run computes or how it goes on. setting_list.h has the
/// flag of each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/data/language_corpus.h"
#include "host/models/language_model.h"
#include "host/models/sequence_classifier.h"
#include "host/models/sequence_tagger.h"
#include "host/models/series_task.h"
#include "host/train/trainer.h"

namespace unroll::cli {

struct TrainSettings {
  std::string task = LanguageModelTask::kName;
  std::string recipe = "auto";

  std::string tokenizer = "word", split = "fraction";
  double valid_fraction = 0.05;
  std::optional<double> test_fraction;
  std::int64_t vocab_size = 0, min_count = 1;
  std::string target;
  std::vector<std::string> inputs;
  std::string tag_column = "upos", vectors;

  std::string model = "lstm", gru_reset = "after", lstm_gates = "separate";
  bool layer_norm = false;
  std::int64_t emsize = 200, nlayers = 2, proj = 0;
  std::vector<std::int64_t> nhid = {200};
  double dropout = 0.2;
  bool tied = false;
  std::int64_t directions = 1;
  std::string pooling = "last";
  bool freeze_vectors = false;
  std::int64_t char_nhid = 64, char_emsize = 32;
  bool crf = false;
  std::int64_t horizon = 12;
  std::vector<double> quantiles;
  double init_range = 0;
  std::optional<double> forget_bias;

  std::string optimizer = "adam", lr_schedule = "plateau", reduction = "mean";
  std::optional<double> lr;
  double lr_decay = 4;
  std::int64_t lr_decay_after = 0, warmup = 0;
  double momentum = 0.9, rms_decay = 0.99, weight_decay = 0, clip = 0.25, clip_value = 0;
  std::int64_t batch_size = 20, shards = 0, bptt = 35, chunk_rows = 0, seed = 1111;
  double unknown_rate = 0, zero_state = 0;
  bool overfit_one_batch = false;
  std::int64_t eval_interval = 0;
  std::string rnn_algorithm = "auto";

  std::int64_t epochs = 40, patience = 0;
  std::string on_divergence = "stop";
  std::optional<double> loss_ceiling;
  std::int64_t verify_every = 0;
  std::int64_t save_every = 2000, keep = 2, log_interval = 200;
  bool tensorboard = false;

  /// Errors    UsageError if a value is out of its range, is none of the choices, or contradicts
  ///           another.
  void check() const;

  /// Decides `shards` for a new run.
  void choose_shards(int ranks);
  /// Errors    UsageError if there are more ranks than shards.
  void require_shards(int ranks) const;
  /// The same in the terms of the layers below. The size of the vocabulary is not known yet, and
  /// the path and the sinks of the corpus are no settings.
  CorpusOptions corpus_options() const;
  LabelledTextsOptions labelled_texts_options() const;
  EncoderConfig encoder() const;
  LanguageModelConfig language_model() const;
  SequenceClassifierConfig classifier() const;
  /// The sizes of the vocabularies are not known yet, and neither is that of vectors.
  SequenceTaggerConfig tagger() const;
  /// The target first, then the other inputs.
  std::vector<std::string> columns() const;
  SeriesOptions series_options() const;
  SeriesConfig series() const;
  TrainingOptions training_options() const;
};

}  // namespace unroll::cli
