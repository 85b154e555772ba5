#include "host/cli/train_flags.h"

#include <fmt/format.h>

#include "host/cli/output.h"
#include "host/cli/rnn_algorithm.h"
#include "host/cli/task_run.h"
#include "host/cli/values.h"
#include "host/models/language_model.h"

namespace unroll::cli {

void TrainFlags::add_to(CLI::App& command) {
  CLI::Option* folder =
      command
          .add_option(
              "--data", data,
              "Folder with train.txt, valid.txt and test.txt, or one file; without it, a "
              "built-in grammar. With --task classify, a folder with train.tsv, valid.tsv and "
              "test.tsv; with --task tag, a folder with train.conllu, dev.conllu and "
              "test.conllu, or the same as .tsv; with --task series, a CSV file")
          ->group("Text");
  CLI::Option* training =
      command.add_option("--train", train, "In place of --data: a file of text")
          ->excludes(folder)
          ->group("Text");
  CLI::Option* validation =
      command.add_option("--valid", valid, "With --train: the validation text")
          ->needs(training)
          ->group("Text");
  training->needs(validation);
  command.add_option("--test", test, "With --train: the test text, which may be left out")
      ->needs(training)
      ->group("Text");
  command
      .add_option(
          "--cache-dir", cache_dir,
          "Folder for texts as token ids, with --task language_model [$XDG_CACHE_HOME/unroll or "
          "~/.cache/unroll]")
      ->group("Text");
  settings.add_to(command);
  command
      .add_option("--save", save,
                  "Folder of the run: checkpoints and metrics.jsonl [a new one: runs/NAME-1, -2, "
                  "..., named after the data]")
      ->group("Run");
  command.add_flag("--overwrite", overwrite, "A run that is in --save gives way to this one")
      ->group("Run");
  command
      .add_option("--resume", resume,
                  "Go on with the run in --save, or the newest in runs/, from its last checkpoint "
                  "and with its settings; auto: begin one if there is none")
      ->expected(0, 1)
      ->default_str("")
      ->group("Run");
  command
      .add_option("--init-from", init_from,
                  "Run folder (its best) or one checkpoint of a language model: begin with its "
                  "parameters and its tokens. What the model is follows from it, and all else "
                  "begins anew")
      ->group("Run");
  command
      .add_option(
          "--ranks", ranks,
          "Processes that train together: this one starts the others on this machine; 0: as "
          "many as mpirun, srun or torchrun has started")
      ->group("Device")
      ->capture_default_str();
  command.add_option("--config", config, "File of flags in TOML: lr = 0.5; flags given here count")
      ->group("Run");
  command.add_flag("--json", json, "One JSON object on stdout, the lines on stderr")->group("Run");
  const auto add_flag = [&](const char* name, bool& value, const char* help) {
    command.add_flag(name, value, help)->group("Run");
  };
  add_flag("--sample", sample,
           "A text that the model draws, after each validation [on a terminal, for characters and "
           "bytes]");
  add_flag("--no-sample", no_sample, "None");
  add_flag("--verbose", verbose, "The shape of every parameter");
  add_flag("--quiet", quiet, "Only warnings, errors and the result");
  device.add_to(command);
  for (const char* name : {"--cache-dir", "--train", "--valid", "--test", "--json", "--no-sample",
                           "--verbose", "--ranks", "--precision", "--threads"})
    rare.push_back(command.get_option(name));
}

void check_text_flags(const TrainFlags& flags, const TrainSettings& settings) {
  if (settings.task == LanguageModelTask::kName) return;
  if (!flags.cache_dir.empty())
    throw UsageError(
        fmt::format("--cache-dir: got --task {}, expected --task {}: no other has a cache",
                    settings.task, LanguageModelTask::kName));
  if (!flags.train.empty())
    throw UsageError(fmt::format("--train: got --task {}, expected --task {}: others have --data",
                                 settings.task, LanguageModelTask::kName));
}

void check_usage(const TrainFlags& flags, bool resume_given, int ranks) {
  flags.device.check();
  if (!flags.resume.empty() && flags.resume != "auto")
    throw UsageError("--resume: got '" + flags.resume +
                     "', expected nothing or auto; which run it is, --save says");
  if (flags.quiet && flags.verbose)
    throw UsageError("--quiet: got --verbose, expected one of them");
  if (flags.sample && flags.no_sample)
    throw UsageError("--sample: got --no-sample, expected one of them");
  if (flags.overwrite && resume_given)
    throw UsageError("--overwrite: got --resume, expected one of them");
  if (flags.overwrite && flags.save.empty())
    throw UsageError("--overwrite: got no --save, expected the folder of the run that gives way");
  if (resume_given && flags.resume.empty() && !flags.init_from.empty())
    throw UsageError("--init-from: got one with --resume, expected it where a run begins");
  // The run has its own settings, or follows a model.
  if ((resume_given && flags.resume.empty()) || !flags.init_from.empty()) return;
  TrainSettings settings = flags.settings.settings(flags.training_text());
  settings.check();
  settings.choose_shards(ranks);
  settings.require_shards(ranks);
  require_data(settings, flags.data);
  check_text_flags(flags, settings);
  if (flags.sample && settings.task != LanguageModelTask::kName)
    throw UsageError(fmt::format("--sample: got --task {}, expected {}: no other draws texts",
                                 settings.task, LanguageModelTask::kName));
  flags.device.check(choose_rnn_algorithm(settings.rnn_algorithm));
}

}  // namespace unroll::cli
