/// Tables in CSV: what is read, and what each mistake says.
#include "host/data/table.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/temp_folder.h"

namespace unroll::test {
namespace {

using Rows = std::vector<std::vector<double>>;

Rows rows_of(std::string_view text, std::vector<std::string> columns) {
  TableReader reader(TextSource(text, "t.csv"), std::move(columns));
  Rows rows;
  while (const auto row = reader.next()) rows.emplace_back(row->begin(), row->end());
  return rows;
}

std::string table_error_of(std::string_view text, const std::vector<std::string>& columns = {"a"}) {
  return error_of<std::runtime_error>([&] { rows_of(text, columns); });
}

TEST(Table, ReadsTheColumnsAskedForInTheOrderAskedFor) {
  const Rows expected = {{1, 10}, {-2.5, 20}, {3e2, 30}};
  for (const char* text : {"date,a,b\n1 May,1,10\n,-2.5,20\n\"x,y\",3e2,30\n",
                           "date,a,b\r\n1 May,1,10\r\n,-2.5,20\r\n\"x,y\",3e2,30",
                           "\xEF\xBB\xBF"
                           "date,a,b\n-,1,10\n-,-2.5,20\n-,3e2,30\n\n\r\n",
                           "date, a ,\tb\n-, 1 ,10\n-,-2.5\t,+20\n-,+3e2,30\r",
                           "\"date\",\"a\",b\n-,\"1\",\" 10 \"\n\"\"\"quoted\"\", and\nin two "
                           "lines\",-2.5,20\n-,3e2,30"})
    EXPECT_EQ(rows_of(text, {"a", "b"}), expected) << text;
  EXPECT_EQ(rows_of("a,b\n1,2\n", {"b", "a"}), (Rows{{2, 1}}));
  EXPECT_EQ(rows_of("\"a \"\"x\"\", b\"\n1\n", {"a \"x\", b"}), (Rows{{1}}));
  EXPECT_EQ(rows_of("a,a b\n1,2\n", {"a b"}), (Rows{{2}}));
  EXPECT_EQ(rows_of("a,x,x\n1,2,3\n", {"a"}), (Rows{{1}}));  // the other is not asked for
  EXPECT_EQ(rows_of("a\n", {"a"}), Rows());
}

// Blocks of a file end anywhere.
TEST(Table, ReadsFilesOfManyBlocks) {
  std::string text = "a,note\n";
  double sum = 0;
  for (int k = 0; k < 60000; ++k) {
    text += std::to_string(k) + ",\"line\r\nno. " + std::to_string(k) + "\"\r\n";
    sum += k;
  }
  const TempFolder folder;
  folder.write("t.csv", text);
  TableReader reader(TextSource(folder.path() / "t.csv"), {"a"});
  double got = 0;
  std::int64_t rows = 0;
  for (; const auto row = reader.next(); ++rows) {
    EXPECT_EQ(reader.line(), 2 + 2 * rows);
    got += (*row)[0];
  }
  EXPECT_EQ(rows, 60000);
  EXPECT_EQ(got, sum);
}

TEST(Table, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(table_error_of(""), "t.csv: is empty, expected a line with the names of columns");
  EXPECT_EQ(table_error_of("\n\n"), "t.csv: is empty, expected a line with the names of columns");
  EXPECT_EQ(table_error_of("\na\n1\n"), "t.csv: line 1: is empty, expected cells");
  EXPECT_EQ(table_error_of("a\n1\n\n2\n"), "t.csv: line 3: is empty, expected cells");
  EXPECT_EQ(table_error_of("a,b\n1,2\n,2\n"),
            "t.csv: line 3: column 'a': is empty, expected a number");
  EXPECT_EQ(table_error_of("a,b\n\" \",2\n"),
            "t.csv: line 2: column 'a': is empty, expected a number");
  EXPECT_EQ(table_error_of("a,b\n1,2\n1\n"), "t.csv: line 3: got 1 cells, expected 2 as in line 1");
  EXPECT_EQ(table_error_of("a,b\n1,2,3\n"), "t.csv: line 2: got 3 cells, expected 2 as in line 1");
  for (const char* bad : {"n/a", "1.2.3", "0x10", "1 2", "1_000", "--1", "+-1", "1e", "e5"})
    EXPECT_EQ(table_error_of("a\n" + std::string(bad) + "\n"),
              "t.csv: line 2: column 'a': got '" + std::string(bad) + "', expected a number");
  for (const char* bad : {"nan", "NaN", "inf", "-Infinity", "nan(1)"})
    EXPECT_EQ(
        table_error_of("a\n" + std::string(bad) + "\n"),
        "t.csv: line 2: column 'a': got '" + std::string(bad) + "', expected a finite number");
  for (const char* bad : {"1e39", "-1e39", "1e999", "1e-999"})
    EXPECT_EQ(table_error_of("a\n" + std::string(bad) + "\n"),
              "t.csv: line 2: column 'a': got '" + std::string(bad) +
                  "', expected 0 or a number of a size from 2.2e-308 to 3.4e+38");
  EXPECT_EQ(table_error_of("year,count\n1,2\n", {"cuont"}),
            "t.csv: line 1: got no column 'cuont', expected one of 'year', 'count'; did you mean "
            "count?");
  EXPECT_EQ(table_error_of("\"\ncount\"\n", {"count"}),
            "t.csv: line 1: got no column 'count', expected one of '\\x0acount'; did you mean "
            "\\x0acount?");
  EXPECT_EQ(table_error_of("t\n", {"z"}), "t.csv: line 1: got no column 'z', expected one of 't'");
  EXPECT_EQ(table_error_of("a,b,a\n1,2,3\n"),
            "t.csv: line 1: got the column 'a' twice, expected it once");
  EXPECT_EQ(table_error_of("a;b\n1;2\n"),
            "t.csv: line 1: got no comma in 'a;b', expected commas between columns");
  EXPECT_EQ(table_error_of("a\n\"1\n2\n"),
            "t.csv: line 2: got quotes that do not end, expected their end");
  EXPECT_EQ(table_error_of("a\n\"1\"2\n"),
            "t.csv: line 2: got text after quotes, expected a comma");
  EXPECT_EQ(table_error_of("a\n1\"2\"\n"),
            "t.csv: line 2: got quotes within a cell, expected them around it and doubled within");
  EXPECT_EQ(table_error_of("a\r1\r2\r"),
            "t.csv: line 1: got a CR without an LF, expected lines that end in LF or CR LF");
  EXPECT_TRUE(contains(table_error_of("a\n\"" + std::string(1 << 20, 'x')),
                       "t.csv: line 2: is longer than 1048576 bytes, expected a row: do quotes"));
  EXPECT_TRUE(contains(table_error_of(std::string("a\n1\0\n", 5)), "NUL"));
  EXPECT_TRUE(contains(table_error_of("a\n\xFF\n"), "UTF-8"));
  EXPECT_FALSE(contains(table_error_of("a\n\xFF\n"), "tokenizer"));
  // A line of an error counts lines within quotes.
  EXPECT_TRUE(contains(table_error_of("a,b\n1,\"\n\n\"\nx,2\n"), "t.csv: line 5: column 'a'"));
  std::string many = "c0";
  for (int k = 1; k < 30; ++k) many += ",c" + std::to_string(k);
  EXPECT_TRUE(contains(table_error_of(many + "\n"), "'c7' and 22 more"));
}

TEST(Table, QuotesCellsThatNeedIt) {
  for (const char* text : {"count", "a b", "a,b", "say \"so\"", " a", "two\nlines", ""}) {
    const std::string cell = csv_cell(text);
    EXPECT_EQ(cell == text, std::string(text) == "count" || std::string(text) == "a b" ||
                                std::string(text).empty());
    if (*text) {
      EXPECT_EQ(rows_of(cell + ",x\n1,2\n", {text}), (Rows{{1}})) << text;
    }
  }
}

}  // namespace
}  // namespace unroll::test
