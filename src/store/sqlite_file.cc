#include "store/sqlite_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

namespace nm::store {
namespace {

constexpr int64_t kApplication = 0x6e6d7374;  // "nmst": marks the file as ours
constexpr int64_t kFormat = 1;

// SQLite's write-ahead log is shared memory between processes: on a file system of several hosts it would corrupt.
const char* network_file_system(const std::string& path) {
  struct statfs fs {};
  if (statfs(path.c_str(), &fs) != 0) return nullptr;
  switch (static_cast<uint32_t>(fs.f_type)) {
    case 0x6969:
      return "NFS";
    case 0xff534d42:
    case 0xfe534d42:
    case 0x517b:
      return "SMB";
    case 0x01021997:
      return "9p";
    case 0x00c36400:
      return "Ceph";
    case 0x0bd00bd0:
      return "Lustre";
    default:
      return nullptr;
  }
}

constexpr const char* kTables[] = {
    // One row: which store this is, its revision, the oldest that can be gone back to, the last lease's number.
    "CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK(one = 1), store BLOB, revision INTEGER, compacted INTEGER, lease "
    "INTEGER)",
    "INSERT INTO meta VALUES(1, randomblob(16), 1, 0, 0)",
    // All events in the order in which they came; value NULL: the key was erased.
    "CREATE TABLE history(id INTEGER PRIMARY KEY, revision INTEGER, key BLOB, value BLOB, created INTEGER, lease "
    "INTEGER)",
    "CREATE UNIQUE INDEX history_by_key ON history(key, revision)",
    "CREATE INDEX history_by_revision ON history(revision)",
    // What is: the event that says so.
    "CREATE TABLE live(key BLOB PRIMARY KEY, id INTEGER, lease INTEGER) WITHOUT ROWID",
    "CREATE INDEX live_by_lease ON live(lease) WHERE lease <> 0",
    // A lease ends at `end` (ms of BootClock) of `boot`, and at the latest with that.
    "CREATE TABLE leases(id INTEGER PRIMARY KEY, ttl INTEGER, end INTEGER, boot BLOB)",
    "CREATE INDEX leases_by_end ON leases(end)",
};

}  // namespace

Statement::~Statement() {
  if (!statement_) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

bool Statement::step() {
  if (!statement_ || file_.failed()) return false;
  errno = 0;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) file_.fail(code);
  sqlite3_reset(statement_);
  return false;
}

std::string Statement::bytes(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement_, column));
  return size ? std::string(static_cast<const char*>(data), size) : std::string();
}

void Statement::bind_number(int index, int64_t value) {
  if (statement_) sqlite3_bind_int64(statement_, index, value);
}

void Statement::bind_bytes(int index, std::string_view value) {
  // An empty view may have no address, which SQLite would take for NULL.
  if (statement_)
    sqlite3_bind_blob64(statement_, index, value.empty() ? "" : value.data(), value.size(), SQLITE_STATIC);
}

Answer<std::unique_ptr<SqliteFile>> SqliteFile::open(const std::string& path, bool make, TimePoint deadline) {
  const std::string directory = std::filesystem::path(path).parent_path().string();
  if (const char* kind = network_file_system(directory.empty() ? "." : directory)) {
    return Failure{Trouble::invalid,
                   fmt::format("{} lies on {}, where SQLite's locks do not hold. Use a directory of this "
                               "host, or etcd:// for several hosts.",
                               path, kind)};
  }
  // Made here, for its user alone, and only if it is not there: to close a second descriptor of an open database would
  // drop the locks that this process has on it.
  const int made = make ? ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
  if (make && made < 0 && errno != EEXIST) {
    return Failure{errno == ENOSPC || errno == EDQUOT ? Trouble::full : Trouble::unreachable,
                   fmt::format("Cannot make the store {}: {}. Make its directory, writable for this user.", path,
                               std::strerror(errno))};
  }
  if (made >= 0) ::close(made);

  std::unique_ptr<SqliteFile> file(new SqliteFile(path));
  file->deadline_ = deadline;
  const int code = sqlite3_open_v2(path.c_str(), &file->db_,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  if (code != SQLITE_OK) {
    file->fail(code);
    return file->failure();
  }
  struct stat now {};
  if (stat(path.c_str(), &now) == 0) file->device_ = now.st_dev, file->inode_ = now.st_ino;
  sqlite3_busy_handler(file->db_, &SqliteFile::wait_for_others, file.get());
  file->set_up();
  if (file->failed()) return file->failure();
  return file;
}

void SqliteFile::set_up() {
  // FULL: what was acknowledged outlives a power cut.
  prepare("PRAGMA synchronous=FULL").run();
  // This one does not ask the busy handler.
  while (prepare("PRAGMA journal_mode=WAL").run(),
         (error_ & 0xff) == SQLITE_BUSY && time_left(deadline_) > Millis::zero()) {
    error_ = SQLITE_OK;
    std::this_thread::sleep_for(Millis(5));
  }
  if (failed()) return;
  begin(true, deadline_);
  int64_t application = 0, format = 0, tables = 0;
  if (auto s = prepare("PRAGMA application_id"); s.step()) application = s.number(0);
  if (auto s = prepare("PRAGMA user_version"); s.step()) format = s.number(0);
  if (auto s = prepare("SELECT count(*) FROM sqlite_schema"); s.step()) tables = s.number(0);
  if (!failed() && application == 0 && format == 0 && tables == 0) {
    for (const char* sql : kTables) prepare(sql).run();
    // PRAGMAs take no parameters; these are kApplication and kFormat.
    prepare("PRAGMA application_id=1852666740").run();
    prepare("PRAGMA user_version=1").run();
  } else if (!failed() && (application != kApplication || format != kFormat)) {
    error_ = SQLITE_MISMATCH;
    said_ = application != kApplication ? "it is the database of another program"
                                        : "it was made by another release of nearmetal";
  }
  if (failed()) {
    undo();
  } else if (auto ended = end(); !ended) {
    return;
  }
}

SqliteFile::~SqliteFile() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

bool SqliteFile::in_place() const {
  struct stat now {};
  return stat(path_.c_str(), &now) == 0 && now.st_dev == device_ && now.st_ino == inode_;
}

int SqliteFile::wait_for_others(void* self, int tries) {
  const auto left = time_left(static_cast<SqliteFile*>(self)->deadline_);
  if (left == Millis::zero()) return 0;
  std::this_thread::sleep_for(std::min(left, Millis(1 + tries / 4)));
  return 1;
}

void SqliteFile::begin(bool write, TimePoint deadline) {
  deadline_ = deadline;
  error_ = SQLITE_OK;
  system_error_ = 0;
  said_.clear();
  if (write) {
    prepare("BEGIN IMMEDIATE").run();
  } else {
    prepare("BEGIN").run();
  }
}

Answer<void> SqliteFile::end() {
  if (!failed()) prepare("COMMIT").run();
  if (!failed()) return {};
  undo();
  return failure();
}

void SqliteFile::undo() {
  if (sqlite3_get_autocommit(db_)) return;  // SQLite has undone it already
  sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

Statement SqliteFile::prepare(const char* sql) {
  if (failed()) return {*this, nullptr};
  sqlite3_stmt*& statement = statements_[sql];
  if (!statement) {
    if (const int code = sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
        code != SQLITE_OK)
      fail(code);
  }
  return {*this, statement};
}

void SqliteFile::fail(int code) {
  if (failed()) return;
  const int system_error = errno;
  error_ = code;
  said_ = db_ ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
  system_error_ = db_ ? sqlite3_system_errno(db_) : 0;
  // SQLite forgets the system's error of a COMMIT.
  if (system_error_ == 0 && (code & 0xff) == SQLITE_IOERR) system_error_ = system_error;
}

Failure SqliteFile::failure() const {
  const std::string said = system_error_ ? fmt::format("{} ({})", said_, std::strerror(system_error_)) : said_;
  // A write beyond the limit of the process is, to it, a full disk.
  if ((error_ & 0xff) == SQLITE_IOERR &&
      (system_error_ == ENOSPC || system_error_ == EDQUOT || system_error_ == EFBIG)) {
    return {Trouble::full, fmt::format("No space is left for the store {}; nothing was changed. Free some.", path_)};
  }
  // The record of the end is written, and only whether it would survive a power cut is open.
  if (error_ == SQLITE_IOERR_FSYNC) {
    return {Trouble::unknown,
            fmt::format("The disk of the store {} did not confirm a write: {}. Look at the disk.", path_, said)};
  }
  switch (error_ & 0xff) {
    case SQLITE_FULL:
      return {Trouble::full, fmt::format("No space is left for the store {}; nothing was changed. Free some.", path_)};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {
          Trouble::unreachable,
          fmt::format("The store {} is held by another process all the time. See who, with `fuser {}`.", path_, path_)};
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_MISMATCH:
      return {Trouble::broken,
              fmt::format("{} is not a store, or a damaged one: {}. Name another file, or bring it back from a backup.",
                          path_, said)};
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return {Trouble::unreachable,
              fmt::format("Cannot open the store {}: {}. It and its directory must be writable for this user.", path_,
                          said)};
    default:
      return {Trouble::unreachable, fmt::format("The store {} fails: {}. Look at its disk.", path_, said)};
  }
}

}  // namespace nm::store
