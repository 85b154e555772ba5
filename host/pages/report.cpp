#include "host/pages/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>

#include "host/pages/chart.h"
#include "host/pages/html_page.h"
#include "host/pages/report_parts.h"
#include "host/pages/report_style.h"

namespace unroll {
namespace {

constexpr std::size_t kEvents = 12;  // how many divergences and jumps are listed
constexpr std::size_t kMarks = 200;  // how many of them are drawn

/// "Tokens per second".
std::string rate_name(const RunHistory& history) {
  std::string name = history.unit + " per second";
  name[0] = char(std::toupper(static_cast<unsigned char>(name[0])));
  return name;
}

/// NaN if there is none.
double median_rate(const RunHistory& history) {
  std::vector<double> rates;
  for (const TrainRecord& record : history.train)
    if (std::isfinite(record.rate)) rates.push_back(record.rate);
  if (rates.empty()) return std::nan("");
  const auto middle = rates.begin() + std::ssize(rates) / 2;
  std::ranges::nth_element(rates, middle);
  return *middle;
}

std::string summary(const ReportData& data) {
  const RunHistory& history = data.history;
  const EvaluationRecord* best = history.best();
  const double rate = median_rate(history);
  std::string html = "<dl class=\"summary\">\n";
  const Measurement measurement{history};
  html += summary_item("Validation " + measurement.name(), best ? measurement.of(*best) : "–",
                       best ? fmt::format("best, at step {}", grouped(best->step)) : "none yet");
  html +=
      summary_item("Test " + measurement.name(), history.test ? measurement.of(*history.test) : "–",
                   history.test ? fmt::format("step {}", grouped(history.test->step)) : "none yet");
  html += summary_item("Steps", grouped(history.steps),
                       fmt::format("{} epoch{}", history.epochs, history.epochs == 1 ? "" : "s"));
  html += summary_item(
      rate_name(history),
      std::isfinite(rate) ? grouped(std::llround(std::clamp(rate, 0.0, 1e15))) : "–", "median");
  html += summary_item("Time", duration(history.seconds), "validation included");
  html += summary_item("Parameters", data.model ? grouped(parameter_count(*data.model->task)) : "–",
                       data.model ? "float32" : "no checkpoint yet");
  return html + "</dl>\n";
}

std::string event_text(const EventRecord& event) {
  const std::string what = event.kind == "jump" ? "the loss jumped" : "diverged";
  std::string text = fmt::format("Step {}, epoch {}: {}", grouped(event.step), event.epoch,
                                 event.reason.empty() ? what : event.reason);
  text +=
      std::isfinite(event.loss) ? fmt::format(" (loss {:.4g}", event.loss) : " (loss not finite";
  text += std::isfinite(event.limit) ? fmt::format(", limit {:.4g})", event.limit) : ")";
  if (!event.parameter.empty()) text += ", in " + event.parameter;
  if (!event.action.empty()) text += "; action: " + event.action;
  return text;
}

Chart loss_chart(const RunHistory& history) {
  Chart chart{.title = "Training and validation loss by step",
              .unit = Measurement{history}.loss_unit(),
              .from_zero = false,
              .perplexity = Measurement{history}.is_perplexity()};
  chart.series = {series_of("training", history.train, &TrainRecord::loss),
                  series_of("validation", history.valid, &EvaluationRecord::loss)};
  chart.series.back().dots = true;
  for (std::size_t k = 0; k < std::min(history.events.size(), kMarks); ++k) {
    const EventRecord& event = history.events[k];
    chart.marks.push_back({{double(event.step), event.loss},
                           event.kind,
                           k < kEvents ? std::to_string(k + 1) : "",
                           event_text(event)});
  }
  const Measurement measurement{history};
  if (const EvaluationRecord* best = history.best())
    chart.marks.push_back(
        {{double(best->step), best->loss},
         "best",
         "best " + measurement.of(*best),
         fmt::format("Best validation: step {}, loss {:.4f}, {} {}", grouped(best->step),
                     best->loss, measurement.name(), measurement.of(*best))});
  return chart;
}

std::string events(const RunHistory& history) {
  if (history.events.empty()) return "";
  std::string html = "<ol class=\"events\">\n";
  for (std::size_t k = 0; k < std::min(history.events.size(), kEvents); ++k)
    html += "<li>" + escape_html(event_text(history.events[k])) + "</li>\n";
  html += "</ol>\n";
  if (history.events.size() > kEvents)
    html += fmt::format("<p class=\"note\">and {} more of them</p>\n",
                        grouped(std::int64_t(history.events.size() - kEvents)));
  return html;
}

std::string loss_figure(const RunHistory& history) {
  std::string html = "<h2>Loss</h2>\n";
  if (history.train.empty() && history.valid.empty())
    return html + "<p class=\"note\">Nothing has been logged yet.</p>\n" + events(history);
  Chart chart = loss_chart(history);
  html +=
      "<figure><figcaption><span><i class=\"key training\"></i>training</span>"
      "<span><i class=\"key validation\"></i>validation</span>";
  for (const std::string& kind : {std::string("diverged"), std::string("jump")})
    if (std::ranges::find(history.events, kind, &EventRecord::kind) != history.events.end())
      html += fmt::format("<span><i class=\"key {0}\"></i>{0}</span>", kind);
  html += "<output></output></figcaption>\n";
  // Text would shrink with a wide drawing on a narrow screen, so each screen gets its own
  // drawing.
  chart.width = 960;
  chart.height = 380;
  html += "<div class=\"wide\">\n" + draw_svg(chart) + "</div>\n";
  chart.width = 370;
  chart.height = 300;
  html += "<div class=\"narrow\">\n" + draw_svg(chart) + "</div>\n</figure>\n";
  return html + events(history);
}

std::string small_figures(const RunHistory& history) {
  if (history.train.empty()) return "";
  struct SmallChart {
    std::string name;
    double TrainRecord::*member;
  };
  std::string html = "<div class=\"small\">\n";
  for (const SmallChart& small : {SmallChart{"Learning rate", &TrainRecord::learning_rate},
                                  SmallChart{"Gradient norm", &TrainRecord::gradient_norm},
                                  SmallChart{rate_name(history), &TrainRecord::rate}}) {
    Chart chart{.title = std::string(small.name) + " by step", .unit = ""};
    chart.series = {series_of(small.name, history.train, small.member)};
    html +=
        fmt::format("<figure><figcaption><b>{}</b><output></output></figcaption>\n{}</figure>\n",
                    small.name, draw_svg(chart));
  }
  return html + "</div>\n";
}

std::string config_section(const std::string& name, const nlohmann::json& members) {
  std::string rows;
  for (const auto& [key, value] : members.items())
    if (!value.is_null() && value != "")
      rows += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escape_html(key),
                          escape_html(value_text(value)));
  if (rows.empty()) return "";
  return fmt::format("<section><h3>{}</h3>\n<table>\n{}</table></section>\n", escape_html(name),
                     rows);
}

std::string configuration(const nlohmann::json& config) {
  nlohmann::json rest = nlohmann::json::object();
  for (const auto& [key, value] : config.items())
    if (!value.is_object()) rest[key] = value;
  std::string html = "<h2>Configuration</h2>\n<div class=\"config\">\n";
  const std::vector<std::string> first = {"model", "tokenizer"};
  for (const std::string& name : first)
    if (config.contains(name) && config[name].is_object())
      html += config_section(name, config[name]);
  html += config_section("run", rest);
  for (const auto& [key, value] : config.items())
    if (value.is_object() && std::ranges::find(first, key) == first.end())
      html += config_section(key, value);
  return html + "</div>\n";
}

std::string samples(const std::vector<ReportSample>& samples) {
  if (samples.empty()) return "";
  std::string html =
      "<h2>Samples</h2>\n<p class=\"note\">Drawn from the best checkpoint, each from the "
      "beginning of a text.</p>\n";
  for (const ReportSample& sample : samples)
    html += fmt::format("<div class=\"sample\"><h3>temperature {:.1f}</h3><p>{}</p></div>\n",
                        sample.temperature, escape_html(sample.text));
  return html;
}

}  // namespace

std::string make_report(const ReportData& data) {
  std::string html = page_head(data.name + " – training run", kReportStyle);
  html += fmt::format(
      "<h1>{}</h1>\n<p class=\"soft\">{}</p>\n", escape_html(data.name),
      data.model ? escape_html(data.model->task->describe()) : "There is no checkpoint yet.");
  html += summary(data);
  html += loss_figure(data.history);
  html += small_figures(data.history);
  if (data.model) {
    html += samples(data.model->samples);
    html += configuration(data.model->config);
  }
  return html + "<script>" + kReportScript + "</script>\n</body>\n</html>\n";
}

}  // namespace unroll
