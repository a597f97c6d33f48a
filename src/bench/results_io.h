// The result file: written line by line, read with suspicion.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "bench/results.h"

namespace nm::bench {

// Never overwrites a file: what was measured is not ours to delete. After a failed write the file ends where the last
// good line did, and nothing more is written.
class ResultWriter {
 public:
  static Result<ResultWriter> create(const std::string& path);

  Result<void> header(const ResultFile& file);
  Result<void> fingerprint(const Json& fingerprint);
  Result<void> run(const Run& run);
  Result<void> end(bool complete);

 private:
  ResultWriter(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Result<void> line(const Json& object);

  std::string path_;
  Fd fd_;
  int64_t good_ = 0;  // bytes
  bool broken_ = false;
};

Result<ResultFile> read_results(const std::string& path);
// `path` is for sentences.
Result<ResultFile> parse_results(std::string_view text, const std::string& path);

// The whole file, as it would be written.
std::string to_lines(const ResultFile& file);

}  // namespace nm::bench
