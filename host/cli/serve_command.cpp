/// unroll serve: answers questions about a language model over HTTP.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "host/cli/commands.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/cli/signals.h"
#include "host/cli/values.h"
#include "host/serve/serve.h"

namespace unroll::cli {
namespace {

struct ServeFlags {
  std::string checkpoint, token_file;
  std::int64_t port = 8080;
  serve::Options options;
  DeviceFlags device;
};

void check(const ServeFlags& flags) {
  require_range("--port", double(flags.port), 0, 65535);
  require_range("--rows", double(flags.options.limits.rows), 1, 4096);
  const std::string& origin = flags.options.allow_origin;
  if (origin.empty() || origin == "*") return;
  const std::size_t host = origin.find("://");
  // It goes into a header, and is compared with what browsers send: no path, no slash at the end.
  if (host == origin.npos || host == 0 || host + 3 == origin.size() ||
      origin.find('/', host + 3) != origin.npos ||
      !std::ranges::all_of(origin, [](char c) { return c > ' ' && c < '\x7F'; }))
    throw UsageError(fmt::format(
        "--allow-origin: got '{}', expected one such as https://example.org, or *", origin));
}

void run_serve(const ServeFlags& flags) {
  check(flags);
  serve::Options options = flags.options;
  options.address.port = std::uint16_t(flags.port);
  if (!flags.token_file.empty()) options.token = serve::read_token(flags.token_file);
  const std::string& host = options.address.host;
  if (options.token.empty() && host != "localhost" && host != "::1" && !host.starts_with("127."))
    warn("all that reach " + host +
         " may ask, expected a token that clients must know (--token-file)");
  const std::atomic<bool>& stop = catch_stop_signals();
  const LoadedModel model = load_model(flags.checkpoint, flags.device.open(), warn);
  serve::serve(
      model, options, [](const std::string& url) { print("listening on " + url + "\n"); }, stop);
}

}  // namespace

void add_serve(CLI::App* command, std::function<void()>& run) {
  auto flags = std::make_shared<ServeFlags>();
  command->add_option("--checkpoint", flags->checkpoint, "Run folder (its best) or one checkpoint")
      ->required();
  command->add_option("--port", flags->port, "To listen on; 0: a free one")->capture_default_str();
  command
      ->add_option("--host", flags->options.address.host,
                   "IP address to listen on; others than loopback let other machines ask")
      ->capture_default_str();
  command->add_option("--token-file", flags->token_file,
                      "File with a token, which clients must send (Authorization: Bearer TOKEN)");
  command->add_option("--allow-origin", flags->options.allow_origin,
                      "Origin whose pages may ask from a browser, or * for all (CORS)");
  command
      ->add_option("--rows", flags->options.limits.rows,
                   "Texts that the model reads at once; others wait")
      ->capture_default_str();
  flags->device.add_to(*command);
  command->footer(
      "Paths: / (a page), /v1/predict, /v1/score, /v1/generate, /healthz, /openapi.json.\n"
      "SIGTERM and SIGINT end it after what is under way, for which it has 10 seconds.");
  command->callback([flags, &run] { run = [flags] { run_serve(*flags); }; });
}

}  // namespace unroll::cli
