#include "host/pages/report.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <sstream>

#include "host/models/language_model.h"
#include "host/pages/chart.h"
#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

constexpr const char* kRun =
    R"({"event":"train","step":10,"epoch":1,"loss":5.5,"ppl":244.7,"gradient_norm":0.5,"lr":0.1,"tokens_per_second":1000,"seconds":1.5,"new":[1]}
{"event":"valid","step":10,"epoch":1,"loss":5.25,"ppl":190.6,"accuracy":0.2,"best":true,"seconds":2}
{"event":"something new"}
{"event":"diverged","step":15,"epoch":2,"loss":null,"limit":8.5,"reason":"loss above its <limit>","parameter":null,"action":"skip","seconds":2.5}
{"event":"train","step":20,"epoch":2,"loss":5.0,"gradient_norm":0.25,"lr":0.05,"tokens_per_second":3000,"seconds":3}
{"event":"valid","step":20,"epoch":2,"loss":5.375,"accuracy":0.25,"best":false,"seconds":4}
{"event":"test","step":20,"epoch":2,"loss":5.125,"accuracy":0.3,"seconds":75}
)";

RunHistory parse(const std::string& text) {
  std::istringstream stream(text);
  return read_run_history(stream, "metrics");
}

std::string parse_error(const std::string& text) {
  return error_of<std::runtime_error>([&] { parse(text); });
}

TEST(RunHistory, HoldsWhatWasLogged) {
  const RunHistory run = parse(kRun);
  ASSERT_EQ(run.train.size(), 2U);
  EXPECT_EQ(run.train[1].step, 20);
  EXPECT_EQ(run.train[1].loss, 5.0);
  EXPECT_EQ(run.train[1].gradient_norm, 0.25);
  EXPECT_EQ(run.train[1].learning_rate, 0.05);
  EXPECT_EQ(run.train[1].rate, 3000);
  ASSERT_EQ(run.valid.size(), 2U);
  ASSERT_NE(run.best(), nullptr);
  EXPECT_EQ(run.best()->step, 10);
  ASSERT_TRUE(run.test);
  EXPECT_EQ(run.test->loss, 5.125);
  ASSERT_EQ(run.events.size(), 1U);
  EXPECT_EQ(run.events[0].kind, "diverged");
  EXPECT_TRUE(std::isnan(run.events[0].loss));
  EXPECT_EQ(run.events[0].parameter, "");
  EXPECT_EQ(run.steps, 20);
  EXPECT_EQ(run.epochs, 2);
  EXPECT_EQ(run.seconds, 75);
  EXPECT_EQ(parse("").train.size(), 0U);
  EXPECT_EQ(parse("").best(), nullptr);
}

TEST(RunHistory, IgnoresALastLineThatIsBeingWritten) {
  const std::string text = kRun;
  for (std::size_t cut = 1; cut <= 60; ++cut)
    EXPECT_FALSE(parse(text.substr(0, text.size() - 1 - cut)).test) << cut;
  EXPECT_TRUE(parse(text.substr(0, text.size() - 1)).test) << "only its end is missing";
}

TEST(RunHistory, NamesTheLineThatIsWrong) {
  const std::string good = R"({"event":"valid","step":1,"loss":2})"
                           "\n";
  EXPECT_EQ(parse_error(good), "no exception");
  EXPECT_TRUE(contains(parse_error(good + "{\"event\":\"tr\n" + good), "metrics: line 2"));
  EXPECT_TRUE(contains(parse_error(good + "{\"event\":\"tr\n"), "metrics: line 2"));
  EXPECT_TRUE(contains(parse_error(good + good + "[1]\n"), "metrics: line 3"));
  EXPECT_TRUE(contains(parse_error(good + "\n" + good), "metrics: line 2"));
  EXPECT_TRUE(contains(parse_error("{\"step\":1}\n"), "event"));
  EXPECT_TRUE(contains(parse_error("{\"event\":\"train\"}\n"), "step"));
  EXPECT_TRUE(contains(parse_error("{\"event\":\"train\",\"step\":-1}\n"), "step"));
  EXPECT_TRUE(contains(parse_error("{\"event\":\"train\",\"step\":1,\"loss\":\"x\"}\n"), "loss"));
  const std::string longer = R"({"event":"train","step":1,"x":")" + std::string(20000, 'x');
  EXPECT_TRUE(contains(parse_error(good + longer + "\"}\n"), "metrics: line 2: is longer than"));
  EXPECT_TRUE(contains(parse_error(good + longer), "metrics: line 2: is longer than"));
  const TempFolder folder;
  const auto read = [](const std::filesystem::path& file) { read_run_history(file); };
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { read(folder.path()); }), "opened"));
  EXPECT_TRUE(contains(error_of<std::runtime_error>([&] { read(folder.path() / "x"); }), "x"));
  ASSERT_EQ(::mkfifo((folder.path() / "pipe").c_str(), 0600),
            0);  // opening it would wait for a writer
  EXPECT_TRUE(
      contains(error_of<std::runtime_error>([&] { read(folder.path() / "pipe"); }), "pipe"));
}

TEST(Chart, ThinningKeepsTheExtremes) {
  std::vector<ChartPoint> points;
  for (int k = 0; k < 100000; ++k) points.push_back({double(k), std::sin(k * 0.001)});
  points[33333].y = 7;
  points[77777].y = -7;
  points[500].y = std::nan("");
  const std::vector<ChartPoint> few = thin(points, 600);
  EXPECT_LE(few.size(), 602U);
  EXPECT_GE(few.size(), 500U);
  EXPECT_EQ(few.front().x, 0);
  EXPECT_EQ(few.back().x, 99999);
  int peaks = 0;
  for (std::size_t k = 0; k < few.size(); ++k) {
    peaks += few[k].y == 7 && few[k].x == 33333 ? 1 : 0;
    peaks += few[k].y == -7 && few[k].x == 77777 ? 1 : 0;
    EXPECT_TRUE(k == 0 || few[k - 1].x < few[k].x) << k;
  }
  EXPECT_EQ(peaks, 2);
  points.resize(600);
  EXPECT_EQ(thin(points, 600).size(), 600U) << "few points stay as they are";
}

TEST(Chart, TicksAreRound) {
  EXPECT_EQ(nice_ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(nice_ticks(4.1, 5.2, 4), (std::vector<double>{4.5, 5}));
  EXPECT_EQ(nice_ticks(-1, 1, 2), (std::vector<double>{-1, 0, 1}));
}

/// The tags of a page are balanced; style and script are one text each.
::testing::AssertionResult balanced(const std::string& html) {
  std::vector<std::string> open;
  for (std::size_t at = html.find('<'); at != html.npos; at = html.find('<', at + 1)) {
    const std::size_t end = html.find('>', at);
    const std::string tag = html.substr(at + 1, end - at - 1);
    if (tag.starts_with('!') || tag.ends_with('/')) continue;
    if (!tag.starts_with('/')) {
      open.push_back(tag.substr(0, tag.find(' ')));
    } else if (open.empty() || open.back() != tag.substr(1)) {
      return ::testing::AssertionFailure()
             << "<" << tag << "> closes " << (open.empty() ? "nothing" : open.back());
    } else {
      open.pop_back();
    }
  }
  if (open.empty()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "<" << open.back() << "> stays open";
}

ReportData example(const std::string& text) {
  LanguageModelConfig model;
  model.vocabulary = 12345;
  model.hidden = {30, 20};
  ReportData data{"run <1> & \"more\"", parse(text)};
  data.model = ReportModel{std::make_shared<LanguageModelTask>(model),
                           {{"model", {{"cell", "lstm"}, {"hidden", {30, 20}}, {"tied", false}}},
                            {"corpus", "<script>alert('1')</script>"},
                            {"training", {{"lr", 0.25}, {"recipe", ""}}},
                            {"metrics", nullptr}},
                           {{0.5, "a <unk> & b\nc"}}};
  return data;
}

TEST(Report, IsAWholePageWithItsNumbers) {
  const std::string html = make_report(example(kRun));
  EXPECT_TRUE(balanced(html));
  for (const char* part :
       {"layers of 30, 20 units", "dropout 0", ">190.57<", ">168.17<", "1 min 15 s", "best 190.57",
        "temperature 0.5", "<td>0.25</td>", "<td>30, 20</td>", "class=\"line validation\""})
    EXPECT_TRUE(contains(html, part));
  EXPECT_FALSE(contains(html, "recipe")) << "what was not given is left out";
}

TEST(Report, TellsAJumpFromADivergence) {
  const std::string jump =
      R"({"event":"jump","step":12,"epoch":1,"jumps":2,"loss":9.5,"limit":8.25,"seconds":2})"
      "\n";
  const std::string html = make_report(example(kRun + jump));
  EXPECT_TRUE(balanced(html));
  EXPECT_TRUE(contains(html, "Step 12, epoch 1: the loss jumped (loss 9.5, limit 8.25)"));
  for (const char* part : {"class=\"mark jump\"", "class=\"key jump\"", "class=\"mark diverged\""})
    EXPECT_TRUE(contains(html, part));
  EXPECT_FALSE(contains(make_report(example(kRun)), "class=\"key jump\""));
}

TEST(Report, EscapesWhatComesFromFiles) {
  const std::string html = make_report(example(kRun));
  EXPECT_TRUE(contains(html, "<h1>run &lt;1&gt; &amp; &quot;more&quot;</h1>"));
  EXPECT_TRUE(contains(html, "&lt;script&gt;alert(&#39;1&#39;)"));
  EXPECT_TRUE(contains(html, "a &lt;unk&gt; &amp; b\nc"));
  EXPECT_TRUE(contains(html, "loss above its &lt;limit&gt; (loss not finite, limit 8.5)"));
  EXPECT_FALSE(contains(html, "<limit>"));
  EXPECT_EQ(escape_html("a\xff\x01ü"), "a\uFFFD\uFFFDü");
}

TEST(Report, RefersToNothingOutsideItself) {
  const std::string html = make_report(example(kRun));
  for (const char* part : {"http", "src=", "href=", "url(", "@import", "<link"})
    EXPECT_FALSE(contains(html, part)) << part;
}

TEST(Report, StaysSmallHoweverLongTheRun) {
  std::string text;
  for (int k = 1; k <= 20000; ++k) {
    const std::string step = std::to_string(k), loss = std::to_string(5 + std::sin(k * 7.0));
    text += R"({"event":"train","step":)" + step + R"(,"loss":)" + loss + R"(,"gradient_norm":)" +
            loss + R"(,"lr":1e-3,"tokens_per_second":)" + loss + "}\n";
    text += R"({"event":"valid","step":)" + step + R"(,"loss":)" + loss + "}\n";
    text += R"({"event":"diverged","step":)" + step + "}\n";
  }
  const std::string html = make_report(example(text));
  EXPECT_LT(html.size(), 500000U);
  EXPECT_TRUE(contains(html, "and 19,988 more"));
}

TEST(Report, StandsValuesOfAllSizes) {
  for (const char* loss :
       {"0", "-3", "1e-300", "1e300", "null", "750", "5", "-270800811", "-1e300", "-305", "-1e99"})
    for (const char* other : {"5", "5.000000000000001", "1e308"}) {
      SCOPED_TRACE(std::string(loss) + " " + other);
      std::string text;
      int step = 0;
      for (const char* value : {loss, other})
        for (const char* event : {"train", "valid"})
          text += std::string(R"({"event":")") + event + R"(","step":)" + std::to_string(++step) +
                  R"(,"loss":)" + value + R"(,"gradient_norm":)" + value + "}\n";
      const std::string html = make_report(example(text));
      EXPECT_TRUE(balanced(html));
      const std::string body = html.substr(html.find("<body>"), html.find("<script>"));
      EXPECT_FALSE(contains(body, "nan"));
      EXPECT_FALSE(contains(body, "\"inf"));
    }
  EXPECT_TRUE(contains(make_report({"empty", parse("")}), "Nothing has been logged yet"));
}

// Steps that go backwards are drawn inside the box, and excessive numbers are limited.
TEST(Report, StandsWhatNoRunWrites) {
  const std::string most = "9007199254740992";
  const std::string html = make_report(example(
      R"({"event":"train","step":)" + most + R"(,"epoch":)" + most +
      R"(,"loss":5,"tokens_per_second":-1e308,"lr":-1e308,"gradient_norm":1e-308,"seconds":-1e308})"
      "\n"
      R"({"event":"train","step":1,"epoch":1,"loss":4,"tokens_per_second":1e308,"seconds":1e308})"
      "\n"));
  EXPECT_TRUE(balanced(html));
  const std::string body = html.substr(html.find("<body>"), html.find("<script>"));
  for (const char* part : {"nan", "\"inf", "-9,223"}) EXPECT_FALSE(contains(body, part)) << part;
  const std::size_t line = body.find("class=\"line training\"");
  EXPECT_TRUE(contains(body.substr(line, 120), "M914.0 "));  // the right edge
}

}  // namespace
}  // namespace unroll::test
