#include "attach/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

namespace nm::attach {
namespace {

constexpr int kVersion = 1;  // of the tables
constexpr const char* kTables =
    "CREATE TABLE attachments(gpu TEXT PRIMARY KEY, body TEXT NOT NULL);"
    "CREATE TABLE operations(id INTEGER PRIMARY KEY AUTOINCREMENT, gpu TEXT UNIQUE NOT NULL, body TEXT NOT NULL);"
    "CREATE TABLE steps(operation INTEGER NOT NULL, number INTEGER NOT NULL, phase TEXT NOT NULL,"
    " PRIMARY KEY(operation, number));"
    "CREATE TABLE quarantine(gpu TEXT PRIMARY KEY, reason TEXT NOT NULL, since INTEGER NOT NULL);"
    "PRAGMA user_version=1;";

// A new name lives in its directory, and is safe only when that is.
void sync_directory(const std::string& path) {
  const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) ::fsync(directory.get());
}

Result<void> make_directories(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), 0755) == 0) {
      sync_directory(part.substr(0, std::max<size_t>(1, part.rfind('/'))));
    } else if (errno != EEXIST) {
      return Error{"Cannot make " + part + ", where attachments are kept: " + strerror(errno) +
                   ". Run this as root, or name another directory in NEARMETAL_STATE_DIR."};
    }
    if (slash == std::string::npos) return {};
  }
}

}  // namespace

void Store::Closer::operator()(sqlite3* database) const { ::sqlite3_close(database); }

// One statement, prepared, bound and stepped through.
class Store::Statement {
 public:
  Statement(const Store& store, const char* sql) {
    if (::sqlite3_prepare_v2(store.database_.get(), sql, -1, &statement_, nullptr) != SQLITE_OK) statement_ = nullptr;
  }
  Statement(const Statement&) = delete;
  ~Statement() { ::sqlite3_finalize(statement_); }

  Statement& bind(const std::string& text) {
    ::sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    return *this;
  }
  Statement& bind(int64_t number) {
    ::sqlite3_bind_int64(statement_, ++bound_, number);
    return *this;
  }
  bool row() { return statement_ && (last_ = ::sqlite3_step(statement_)) == SQLITE_ROW; }
  bool run() {
    while (row()) {
    }
    return good();
  }
  bool good() const { return statement_ && last_ == SQLITE_DONE; }
  bool constraint() const { return (last_ & 0xff) == SQLITE_CONSTRAINT; }
  std::string text(int column) {
    const auto* bytes = ::sqlite3_column_text(statement_, column);
    return bytes ? std::string(reinterpret_cast<const char*>(bytes),
                               static_cast<size_t>(::sqlite3_column_bytes(statement_, column)))
                 : "";
  }
  int64_t number(int column) { return ::sqlite3_column_int64(statement_, column); }

 private:
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0, last_ = SQLITE_OK;
};

// Rolled back unless committed.
class Store::Transaction {
 public:
  explicit Transaction(Store& store) : store_(store), begun_(store.execute("BEGIN IMMEDIATE")) {}
  Transaction(const Transaction&) = delete;
  ~Transaction() {
    if (begun_ && !::sqlite3_get_autocommit(store_.database_.get())) (void)store_.execute("ROLLBACK");
  }
  const Result<void>& begun() const { return begun_; }
  Result<void> commit() { return store_.execute("COMMIT"); }

 private:
  Store& store_;
  Result<void> begun_;
};

Error Store::failed(const std::string& what) const {
  const int code = database_ ? ::sqlite3_extended_errcode(database_.get()) : SQLITE_CANTOPEN;
  const std::string why = database_ ? ::sqlite3_errmsg(database_.get()) : "it could not be opened";
  const char* next = "Look at the file and its directory.";
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
      next = "Make room on its file system, then try again.";
      break;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      next = "Run this as root.";
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      next = "Another nearmetal has kept it for long; wait until that has ended.";
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      next =
          "It is damaged: move it away, and give GPUs back by hand (nearmetal gpus --local --wide shows their "
          "drivers).";
      break;
  }
  return Error{"Cannot " + what + " " + path_ + ": " + why + ". " + next};
}

Result<void> Store::execute(const char* sql) {
  if (!database_) return failed("write");
  if (::sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failed("write");
  return {};
}

Result<Store> Store::open(const std::string& directory) {
  if (auto made = make_directories(directory); !made) return made.error();
  sqlite3* opened = nullptr;
  const std::string path = directory + "/state.db";
  const int status = ::sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  Store store(path, std::unique_ptr<sqlite3, Closer>(opened));
  if (status != SQLITE_OK) return store.failed("open");
  ::sqlite3_busy_timeout(opened, 30'000);
  // EXTRA: the directory is synced too after the rollback journal has gone, without which a power cut may bring a
  // finished transaction's journal back, and with it the time before.
  if (auto set = store.execute("PRAGMA journal_mode=DELETE; PRAGMA synchronous=EXTRA;"); !set) return set.error();
  if (auto made = store.make_tables(); !made) return made.error();
  sync_directory(directory);
  return store;
}

Result<void> Store::make_tables() {
  Transaction transaction(*this);
  if (!transaction.begun()) return transaction.begun().error();
  int version = -1;
  {
    Statement statement(*this, "PRAGMA user_version");
    if (statement.row()) version = static_cast<int>(statement.number(0));
  }
  if (version > kVersion) {
    return Error{path_ + " was written by a later release of nearmetal. Use that one, or newer."};
  }
  if (version < 0) return failed("read");
  if (version == 0) {
    if (auto made = execute(kTables); !made) return made.error();
  }
  return transaction.commit();
}

Result<Store> Store::open_to_read(const std::string& directory) {
  const std::string path = directory + "/state.db";
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return Store(path, nullptr);
  sqlite3* opened = nullptr;
  const int status = ::sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READONLY, nullptr);
  Store store(path, std::unique_ptr<sqlite3, Closer>(opened));
  if (status != SQLITE_OK) return store.failed("read");
  ::sqlite3_busy_timeout(opened, 5'000);
  Statement statement(store, "PRAGMA user_version");
  if (!statement.row()) return store.failed("read");
  if (statement.number(0) == 0) store.database_.reset();  // whoever makes it has only just begun
  return store;
}

Result<void> Store::begin(Operation& operation) {
  Transaction transaction(*this);
  if (!transaction.begun()) return transaction.begun().error();
  Statement insert(*this, "INSERT INTO operations(gpu, body) VALUES(?, ?)");
  if (!insert.bind(operation.gpu.text()).bind(to_json(operation).dump()).run()) {
    if (insert.constraint()) {
      return Error{"Something else is being done with " + operation.gpu.text() +
                   ", or was when its process died. `nearmetal status` tells, `nearmetal recover` ends it."};
    }
    return failed("write");
  }
  operation.id = ::sqlite3_last_insert_rowid(database_.get());
  operation.phases.assign(operation.steps.size(), Phase::waiting);
  for (size_t i = 0; i < operation.steps.size(); ++i) {
    Statement step(*this, "INSERT INTO steps VALUES(?, ?, 'waiting')");
    if (!step.bind(operation.id).bind(static_cast<int64_t>(i)).run()) return failed("write");
  }
  return transaction.commit();
}

Result<void> Store::set_phase(const Operation& operation, size_t step, Phase phase) {
  Statement update(*this, "UPDATE steps SET phase = ? WHERE operation = ? AND number = ?");
  if (!update.bind(std::string(word(phase))).bind(operation.id).bind(static_cast<int64_t>(step)).run()) {
    return failed("write");
  }
  return {};
}

Result<void> Store::note(const Operation& operation) {
  Statement update(*this, "UPDATE operations SET body = ? WHERE id = ?");
  if (!update.bind(to_json(operation).dump()).bind(operation.id).run()) return failed("write");
  return {};
}

Result<void> Store::conclude(const Operation& operation, const std::optional<Attachment>& now) {
  Transaction transaction(*this);
  if (!transaction.begun()) return transaction.begun().error();
  Statement steps(*this, "DELETE FROM steps WHERE operation = ?"), entry(*this, "DELETE FROM operations WHERE id = ?");
  if (!steps.bind(operation.id).run() || !entry.bind(operation.id).run()) return failed("write");
  if (auto put_or_erased = now ? put(*now) : erase(operation.gpu); !put_or_erased) return put_or_erased;
  return transaction.commit();
}

Result<std::vector<Operation>> Store::operations() {
  std::vector<Operation> list;
  if (!database_) return list;
  Statement statement(*this, "SELECT id, body FROM operations ORDER BY id");
  try {
    while (statement.row()) {
      list.push_back(operation_of(Json::parse(statement.text(1))));
      list.back().id = statement.number(0);
    }
    for (Operation& operation : list) {
      operation.phases.assign(operation.steps.size(), Phase::waiting);
      Statement steps(*this, "SELECT number, phase FROM steps WHERE operation = ?");
      steps.bind(operation.id);
      while (steps.row()) {
        const auto number = static_cast<size_t>(steps.number(0));
        if (number < operation.phases.size()) operation.phases[number] = phase_of(steps.text(1));
      }
      if (!steps.good()) return failed("read");
    }
  } catch (const std::exception& error) {
    return Error{path_ + " has an entry that cannot be read: " + error.what() +
                 ". Move the file away, and give GPUs back by hand."};
  }
  if (!statement.good()) return failed("read");
  return list;
}

Result<std::vector<Attachment>> Store::attachments() {
  std::vector<Attachment> list;
  if (!database_) return list;
  Statement statement(*this, "SELECT body FROM attachments ORDER BY gpu");
  try {
    while (statement.row()) list.push_back(attachment_of(Json::parse(statement.text(0))));
  } catch (const std::exception& error) {
    return Error{path_ + " has an attachment that cannot be read: " + error.what() +
                 ". Move the file away, and give GPUs back by hand."};
  }
  if (!statement.good()) return failed("read");
  return list;
}

Result<std::optional<Attachment>> Store::attachment(const PciAddress& gpu) {
  const auto all = attachments();
  if (!all) return all.error();
  for (const Attachment& attachment : *all) {
    if (attachment.gpu == gpu) return std::optional<Attachment>(attachment);
  }
  return std::optional<Attachment>();
}

Result<void> Store::put(const Attachment& attachment) {
  Statement statement(*this, "INSERT OR REPLACE INTO attachments VALUES(?, ?)");
  if (!statement.bind(attachment.gpu.text()).bind(to_json(attachment).dump()).run()) return failed("write");
  return {};
}

Result<void> Store::erase(const PciAddress& gpu) {
  Statement statement(*this, "DELETE FROM attachments WHERE gpu = ?");
  if (!statement.bind(gpu.text()).run()) return failed("write");
  return {};
}

Result<void> Store::quarantine(const PciAddress& gpu, const std::string& reason) {
  Statement statement(*this, "INSERT OR REPLACE INTO quarantine VALUES(?, ?, ?)");
  if (!statement.bind(gpu.text()).bind(reason).bind(static_cast<int64_t>(::time(nullptr))).run()) {
    return failed("write");
  }
  return {};
}

Result<void> Store::lift_quarantine(const PciAddress& gpu) {
  Statement statement(*this, "DELETE FROM quarantine WHERE gpu = ?");
  if (!statement.bind(gpu.text()).run()) return failed("write");
  return {};
}

Result<std::vector<Quarantine>> Store::quarantined() {
  std::vector<Quarantine> list;
  if (!database_) return list;
  Statement statement(*this, "SELECT gpu, reason, since FROM quarantine ORDER BY gpu");
  while (statement.row()) {
    const auto gpu = inventory::parse_pci_address(statement.text(0));
    if (gpu) list.push_back({.gpu = *gpu, .reason = statement.text(1), .since = statement.number(2)});
  }
  if (!statement.good()) return failed("read");
  return list;
}

std::string state_directory() {
  const char* named = ::getenv("NEARMETAL_STATE_DIR");
  return named && *named ? named : "/var/lib/nearmetal/attach";
}

}  // namespace nm::attach
