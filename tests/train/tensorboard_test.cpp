/// Event files of TensorBoard. tests/train/tensorboard_test.py reads one with TensorBoard itself.
#include "host/train/tensorboard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <vector>

#include "tests/support/training.h"

namespace unroll::test {
namespace {

/// The remainder of the message times x^32 by the polynomial of RFC 3720, bit by bit, bits of a
/// byte from the lowest.
std::uint32_t crc_by_division(std::string_view bytes) {
  constexpr std::uint32_t kPolynomial = 0x1EDC6F41;
  std::uint32_t rest = 0xFFFFFFFF;
  for (const char byte : bytes)
    for (int bit = 0; bit < 8; ++bit) {
      const bool feedback = (rest >> 31 & 1) != (static_cast<unsigned char>(byte) >> bit & 1U);
      rest = rest << 1 ^ (feedback ? kPolynomial : 0);
    }
  std::uint32_t reversed = 0;
  for (int bit = 0; bit < 32; ++bit) reversed |= (rest >> bit & 1) << (31 - bit);
  return ~reversed;
}

TEST(Crc32c, IsThatOfTheStandard) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);    // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43U);  // the same
  EXPECT_EQ(crc32c(""), 0U);
  std::string text;
  for (int k = 0; k < 300; ++k) {
    EXPECT_EQ(crc32c(text), crc_by_division(text));
    text += char(k * 37);
  }
}

/// A reader of its own for what the file has.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool is_at_end() const { return rest_.empty(); }
  std::string_view take(std::size_t count) {
    EXPECT_LE(count, rest_.size());
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  template <typename T>
  T number() {
    T value{};
    const std::string_view bytes = take(sizeof(T));
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1).front());
      value |= std::uint64_t(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  }
  std::string_view record() {
    const std::string_view length = rest_.substr(0, 8);
    const auto size = number<std::uint64_t>();
    EXPECT_EQ(number<std::uint32_t>(), masked(length));
    const std::string_view data = take(size);
    EXPECT_EQ(number<std::uint32_t>(), masked(data));
    return data;
  }

 private:
  static std::uint32_t masked(std::string_view bytes) {
    const std::uint32_t crc = crc_by_division(bytes);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
  }
  std::string_view rest_;
};

struct Event {
  double time = 0;
  std::uint64_t step = 0;
  std::string version;
  std::map<std::string, float> scalars;
};

Event parse_event(std::string_view data) {
  Event event;
  for (Reader reader(data); !reader.is_at_end();) {
    const std::uint64_t key = reader.varint();
    if (key == (1 << 3 | 1)) event.time = reader.number<double>();
    if (key == (2 << 3 | 0)) event.step = reader.varint();
    if (key == (3 << 3 | 2)) event.version = reader.take(reader.varint());
    if (key != (5 << 3 | 2)) continue;
    for (Reader summary(reader.take(reader.varint())); !summary.is_at_end();) {
      EXPECT_EQ(summary.varint(), 1U << 3 | 2);
      Reader value(summary.take(summary.varint()));
      EXPECT_EQ(value.varint(), 1U << 3 | 2);
      const std::string tag(value.take(value.varint()));
      EXPECT_EQ(value.varint(), 2U << 3 | 5);
      event.scalars[tag] = value.number<float>();
      EXPECT_TRUE(value.is_at_end());
    }
  }
  return event;
}

std::vector<std::filesystem::path> event_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().filename().string().find("tfevents") != std::string::npos)
      files.push_back(entry.path());
  return files;
}

std::vector<Event> events_of(const std::filesystem::path& folder) {
  const auto files = event_files(folder);
  EXPECT_EQ(files.size(), 1U);
  std::vector<Event> events;
  const std::string bytes = read_text(files.at(0));
  for (Reader reader(bytes); !reader.is_at_end();) events.push_back(parse_event(reader.record()));
  return events;
}

TEST(Tensorboard, HoldsTheNumbersOfALine) {
  const auto data = tensorboard_event(nlohmann::ordered_json::parse(
      R"({"event":"train","step":300,"epoch":2,"loss":2.5,"ppl":null,"lr":0.125,"best":true,)"
      R"("seconds":9,"time":"2026-03-01T12:30:05.250Z"})"));
  ASSERT_TRUE(data);
  const Event event = parse_event(*data);
  EXPECT_EQ(event.step, 300U);
  EXPECT_EQ(event.time, 1772368205.25);
  EXPECT_EQ(event.scalars,
            (std::map<std::string, float>{{"train/loss", 2.5F}, {"train/lr", 0.125F}}));
}

TEST(Tensorboard, LeavesOutOtherLines) {
  for (const char* line :
       {R"({"event":"jump","step":1,"loss":2})", R"({"event":"train","step":1})", "{}",
        R"({"event":7,"loss":1})", R"({"event":"settings","step":3,"changes":{}})"})
    EXPECT_FALSE(tensorboard_event(nlohmann::ordered_json::parse(line))) << line;
}

TEST(Tensorboard, HasWhatTheMetricsHaveAlsoOfARunThatWentOn) {
  const TempFolder folder;
  const LanguageCorpus corpus = small_corpus(60, 6);
  const LanguageModelConfig config = small_model(corpus);
  SmallOptions options = small_options(folder.path() / "run");
  options.log_interval = 2;
  options.tensorboard = true;
  train_small(corpus, config, options, {.stop_after = 9});
  EXPECT_GT(events_of(options.run_dir).size(), 3U);
  train_small(corpus, config, options, {.resume = true});
  const std::vector<Event> events = events_of(options.run_dir);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events[0].version, "brain.Event:2");
  std::size_t next = 1;
  std::istringstream metrics(read_text(options.run_dir / "metrics.jsonl"));
  for (std::string text; std::getline(metrics, text);) {
    const auto line = nlohmann::json::parse(text);
    SCOPED_TRACE(text);
    ASSERT_LT(next, events.size());
    const Event& event = events[next++];
    EXPECT_EQ(event.step, line["step"]);
    EXPECT_GT(event.time, events[0].time - 100);
    const std::string name = line["event"];
    EXPECT_EQ(event.scalars.at(name + "/loss"), float(line["loss"]));
    EXPECT_EQ(event.scalars.contains(name + "/epoch"), false);
  }
  EXPECT_EQ(next, events.size());
}

}  // namespace
}  // namespace unroll::test
