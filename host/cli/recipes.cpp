#include "host/cli/recipes.h"

#include "host/cli/values.h"

namespace unroll::cli {
namespace {

/// Zaremba, Sutskever & Vinyals 2014, non-regularised: four epochs at rate 1, halved for each
/// after; the gradient summed over time and averaged over the minibatch.
TrainSettings zaremba_small() {
  TrainSettings s;
  s.nhid = {200};
  s.dropout = 0;
  s.batch_size = 20;
  s.bptt = 20;
  s.epochs = 13;
  s.optimizer = "sgd";
  s.lr = 1;
  s.clip = 5;
  s.lr_schedule = "decay";
  s.lr_decay = 2;
  s.lr_decay_after = 4;
  s.reduction = "time";
  s.init_range = 0.1;
  return s;
}

/// The regularised models of the same paper. Their dropout, sizes and schedules differ.
TrainSettings zaremba_medium() {
  TrainSettings s = zaremba_small();
  s.emsize = 650;
  s.nhid = {650};
  s.dropout = 0.5;
  s.bptt = 35;
  s.epochs = 39;
  s.lr_decay = 1.2;
  s.lr_decay_after = 6;
  s.init_range = 0.05;
  return s;
}

TrainSettings zaremba_large() {
  TrainSettings s = zaremba_medium();
  s.emsize = 1500;
  s.nhid = {1500};
  s.dropout = 0.65;
  s.clip = 10;
  s.epochs = 55;
  s.lr_decay = 1.15;
  s.lr_decay_after = 14;
  s.init_range = 0.04;
  return s;
}

/// The defaults of karpathy/char-rnn's train.lua: one-hot characters, RMSProp, the rate times 0.97
/// for each epoch after the tenth, gradients summed over time and clipped element by element. (It
/// has no <unk>, hence 641 parameters less.)
TrainSettings char_rnn() {
  TrainSettings s;
  s.tokenizer = "char";
  s.split = "streams";
  s.valid_fraction = 0.05;
  s.emsize = 0;
  s.nhid = {128};
  s.dropout = 0;
  s.batch_size = 50;
  s.bptt = 50;
  s.epochs = 50;
  s.optimizer = "rmsprop";
  s.rms_decay = 0.95;
  s.lr = 0.002;
  s.lr_schedule = "decay";
  s.lr_decay = 1 / 0.97;
  s.lr_decay_after = 10;
  s.clip = 0;
  s.clip_value = 5;
  s.reduction = "time";
  s.init_range = 0.08;
  s.forget_bias = 1;
  return s;
}

/// The model and the training of PyTorch's word_language_model: SGD at a rate of 20.
TrainSettings word_language_model() {
  TrainSettings s;
  s.optimizer = "sgd";
  return s;
}

}  // namespace

TrainSettings recipe(const std::string& name) {
  return choose<TrainSettings (*)()>("--recipe", name,
                                     {{"zaremba-small", zaremba_small},
                                      {"zaremba-medium", zaremba_medium},
                                      {"zaremba-large", zaremba_large},
                                      {"char-rnn", char_rnn}})();
}

TrainSettings defaults_for(const std::string& tokenizer, bool built_in_text) {
  const bool characters = tokenizer == "char" || tokenizer == "byte";
  TrainSettings s = characters      ? char_rnn()
                    : built_in_text ? TrainSettings()
                                    : word_language_model();
  s.tokenizer = tokenizer;
  s.split = TrainSettings().split;  // what is test text does not depend on what a token is
  return s;
}

TrainSettings classifier_defaults() {
  TrainSettings s;
  s.task = SequenceClassifier::kName;
  s.nlayers = 1;
  s.directions = 2;
  s.pooling = "mean";
  s.batch_size = 32;
  s.epochs = 10;
  s.clip = 1;
  return s;
}

TrainSettings tagger_defaults() {
  TrainSettings s;
  s.task = SequenceTagger::kName;
  s.emsize = 100;
  s.nlayers = 1;
  s.nhid = {128};
  s.directions = 2;
  s.dropout = 0.5;
  s.batch_size = 16;
  s.unknown_rate = 0.5;
  s.epochs = 12;
  s.clip = 5;
  return s;
}

TrainSettings series_defaults() {
  TrainSettings s;
  s.task = SeriesTask::kName;
  s.valid_fraction = 0.15;
  s.test_fraction = 0.15;
  s.model = "gru";
  s.nlayers = 1;
  s.nhid = {32};
  s.dropout = 0;
  s.optimizer = "adamw";
  s.weight_decay = 0.3;
  s.lr_schedule = "constant";
  s.batch_size = 32;
  s.bptt = 20;
  s.epochs = 100;
  s.clip = 1;
  return s;
}

}  // namespace unroll::cli
