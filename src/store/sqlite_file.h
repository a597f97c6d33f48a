// One open SQLite file, and statements on it. What fails is remembered until the next begin(): whoever does something
// with the file does all of it, and asks once, at the end, whether it went well. Used under its owner's lock.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/clock.h"
#include "store/answer.h"

namespace nm::store {

class SqliteFile;

// Lives within one transaction. Columns are read after a step() that said true.
class Statement {
 public:
  Statement(SqliteFile& file, sqlite3_stmt* statement) : file_(file), statement_(statement) {}
  Statement(const Statement&) = delete;
  ~Statement();

  // What is bound must live until the last step(). nullopt is NULL.
  template <typename... Values>
  Statement& bind(const Values&... values) {
    int index = 0;
    (bind_one(++index, values), ...);
    return *this;
  }
  bool step();  // false: no more rows, or a failure
  void run() {
    while (step()) {
    }
  }

  int64_t number(int column) const { return sqlite3_column_int64(statement_, column); }
  bool null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::string bytes(int column) const;

 private:
  template <typename T>
  void bind_one(int index, const T& value) {
    if constexpr (std::is_integral_v<T>) {
      bind_number(index, value);
    } else if constexpr (std::is_same_v<T, std::optional<std::string_view>>) {
      if (value) bind_bytes(index, *value);  // what is not bound is NULL
    } else {
      bind_bytes(index, value);
    }
  }
  void bind_number(int index, int64_t value);
  void bind_bytes(int index, std::string_view value);

  SqliteFile& file_;
  sqlite3_stmt* statement_;
};

class SqliteFile {
 public:
  // With `make` the file is made (for its user alone) if it is not there. Its directory must be.
  static Answer<std::unique_ptr<SqliteFile>> open(const std::string& path, bool make, TimePoint deadline);
  ~SqliteFile();

  // The path still leads to the file that is open.
  bool in_place() const;

  // Waits for other processes until `deadline`, here and in all that follows until end(). A writer is alone from here
  // on.
  void begin(bool write, TimePoint deadline);
  // Keeps what was done if nothing failed, else nothing of it. The failure, if there was one.
  Answer<void> end();
  void undo();

  Statement prepare(const char* sql);  // `sql` is a literal: statements are kept by its address
  bool failed() const { return error_ != SQLITE_OK; }
  void fail(int code);
  Failure failure() const;
  int64_t changes() const { return sqlite3_changes64(db_); }

 private:
  explicit SqliteFile(std::string path) : path_(std::move(path)) {}
  static int wait_for_others(void* self, int tries);
  void set_up();

  const std::string path_;
  sqlite3* db_ = nullptr;
  std::map<const char*, sqlite3_stmt*> statements_;
  TimePoint deadline_;
  int error_ = SQLITE_OK;
  int system_error_ = 0;
  std::string said_;
  uint64_t device_ = 0, inode_ = 0;
};

}  // namespace nm::store
