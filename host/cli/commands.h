/// One function per command: each gives the command its flags and, once it is parsed, sets `run` to
/// what it does.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace unroll::cli {

void add_train(CLI::App* command, std::function<void()>& run);
void add_eval(CLI::App* command, std::function<void()>& run);
void add_predict(CLI::App* command, std::function<void()>& run);
void add_score(CLI::App* command, std::function<void()>& run);
void add_rescore(CLI::App* command, std::function<void()>& run);
void add_generate(CLI::App* command, std::function<void()>& run);
void add_serve(CLI::App* command, std::function<void()>& run);
void add_tag(CLI::App* command, std::function<void()>& run);
void add_forecast(CLI::App* command, std::function<void()>& run);
void add_import(CLI::App* command, std::function<void()>& run);
void add_tokenizer(CLI::App* command, std::function<void()>& run);
void add_report(CLI::App* command, std::function<void()>& run);
void add_bench(CLI::App* command, std::function<void()>& run);
void add_doctor(CLI::App* command, std::function<void()>& run);

}  // namespace unroll::cli
