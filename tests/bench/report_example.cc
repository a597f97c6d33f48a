// Prints the page of the example that the report's unit tests use.
#include "bench/report_example.h"

#include <cstdio>

#include "bench/report.h"

int main() {
  const nm::bench::Example example = nm::bench::example_report();
  const std::string page = nm::bench::html_report(example.comparison, example.files);
  std::fwrite(page.data(), 1, page.size(), stdout);
}
