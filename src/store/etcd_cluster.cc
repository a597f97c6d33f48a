#include "store/etcd_cluster.h"

#include <arpa/inet.h>
#include <etcd/rpc.grpc.pb.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"

namespace nm::store {
namespace {

std::string find_etcd() {
  std::istringstream path(getenv("PATH") ? getenv("PATH") : "/usr/bin");
  for (std::string directory; std::getline(path, directory, ':');) {
    const std::string program = directory + "/etcd";
    if (access(program.c_str(), X_OK) == 0) return program;
  }
  return {};
}

// Ports that are free now. Until etcd listens somebody else may take one: then it is all done again.
std::vector<int> free_ports(size_t count) {
  std::vector<Fd> sockets;
  std::vector<int> ports;
  for (size_t i = 0; i < count; ++i) {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    // SAFETY: sockaddr_in is the form of a sockaddr that AF_INET says it is.
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (bind(fd.get(), any, size) != 0 || getsockname(fd.get(), any, &size) != 0) return {};
    ports.push_back(ntohs(address.sin_port));
    sockets.push_back(std::move(fd));
  }
  return ports;
}

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

constexpr const char* kMakeCertificates = R"(
set -e
new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "$@"; }
new -x509 -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
new -x509 -days 2 -subj /CN=stranger -keyout stranger.key -out stranger.pem
printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n' >extensions
for who in server client; do
  new -subj /CN=$who -keyout $who.key -out $who.csr
  openssl x509 -req -days 2 -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions -out $who.pem
done
)";

}  // namespace

struct EtcdCluster::Probe {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<etcdserverpb::Maintenance::Stub> stub;

  bool ask(etcdserverpb::StatusResponse* status) const {
    // gRPC makes connections while somebody waits for one.
    if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::milliseconds(200))) return false;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
    return stub->Status(&context, {}, status).ok();
  }
};

EtcdCluster::EtcdCluster() = default;

bool EtcdCluster::installed() { return !find_etcd().empty(); }

Result<std::unique_ptr<EtcdCluster>> EtcdCluster::start(size_t members, bool tls) {
  std::string why;
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::unique_ptr<EtcdCluster> cluster(new EtcdCluster());
    cluster->tls_ = tls;
    if (tls) {
      if (auto made = cluster->make_certificates(); !made) return made.error();
    }
    const auto started = cluster->start_all(members);
    if (started && cluster->wait_for_leader(60)) return cluster;
    why = started ? "no leader was elected: " + cluster->last_words(0) : started.error().message;
  }
  return Error{"The etcd cluster of the test does not start: " + why};
}

EtcdCluster::~EtcdCluster() {
  for (size_t i = 0; i < members_.size(); ++i) kill(i);
}

Result<void> EtcdCluster::make_certificates() {
  const int log = ::open((scratch_ / "openssl.log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  auto shell = spawn({.argv = {"bash", "-c", "cd " + scratch_.path() + "\n" + kMakeCertificates},
                      .program = "/bin/bash",
                      .env = current_environment(),
                      .fds = {{log, 1}, {log, 2}},
                      .die_with_parent = true});
  ::close(log);
  if (!shell) return shell.error();
  if (!shell->wait().clean()) return Error{"openssl made no certificates: " + read_file(scratch_ / "openssl.log")};
  return {};
}

Result<void> EtcdCluster::start_all(size_t members) {
  const std::vector<int> ports = free_ports(2 * members);
  if (ports.size() != 2 * members) return Error{"no free ports"};
  members_.resize(members);
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (tls_)
    credentials =
        grpc::SslCredentials({read_file(file("ca.pem")), read_file(file("client.key")), read_file(file("client.pem"))});
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  for (size_t i = 0; i < members; ++i) {
    members_[i].client = fmt::format("127.0.0.1:{}", ports[2 * i]);
    members_[i].peer = fmt::format("127.0.0.1:{}", ports[2 * i + 1]);
    Probe probe{grpc::CreateCustomChannel(members_[i].client, credentials, arguments), nullptr};
    probe.stub = etcdserverpb::Maintenance::NewStub(probe.channel);
    probes_.push_back(std::move(probe));
  }
  for (size_t i = 0; i < members; ++i) {
    if (auto started = start_again(i); !started) return started;
  }
  return {};
}

Result<void> EtcdCluster::start_again(size_t i) {
  std::string all;
  for (size_t k = 0; k < members_.size(); ++k) all += fmt::format("{}m{}=http://{}", k ? "," : "", k, members_[k].peer);
  Member& member = members_[i];
  const std::string client_url = fmt::format("{}://{}", tls_ ? "https" : "http", member.client);
  const std::string peer_url = "http://" + member.peer;
  std::vector<std::string> argv = {"etcd",
                                   "--name",
                                   fmt::format("m{}", i),
                                   "--data-dir",
                                   scratch_ / fmt::format("m{}", i),
                                   "--listen-client-urls",
                                   client_url,
                                   "--advertise-client-urls",
                                   client_url,
                                   "--listen-peer-urls",
                                   peer_url,
                                   "--initial-advertise-peer-urls",
                                   peer_url,
                                   "--initial-cluster",
                                   all,
                                   "--initial-cluster-token",
                                   scratch_.path(),
                                   "--logger",
                                   "zap",
                                   "--log-level",
                                   "error"};
  if (tls_) {
    for (const std::string& argument :
         {std::string("--cert-file"), file("server.pem"), std::string("--key-file"), file("server.key"),
          std::string("--trusted-ca-file"), file("ca.pem"), std::string("--client-cert-auth")}) {
      argv.push_back(argument);
    }
  }
  const int log =
      ::open((scratch_ / fmt::format("m{}.log", i)).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  auto process =
      spawn({.argv = argv, .program = find_etcd(), .env = {}, .fds = {{log, 1}, {log, 2}}, .die_with_parent = true});
  ::close(log);
  if (!process) return process.error();
  member.process = std::move(*process);
  member.running = true;
  member.paused = false;
  return {};
}

std::string EtcdCluster::last_words(size_t member) const {
  const std::string log = read_file(scratch_ / fmt::format("m{}.log", member));
  return log.size() > 600 ? log.substr(log.size() - 600) : log;
}

void EtcdCluster::kill(size_t i) {
  if (!members_[i].running) return;
  members_[i].process.signal(SIGKILL);
  members_[i].process.wait();
  members_[i].running = members_[i].paused = false;
}

void EtcdCluster::pause(size_t i) {
  members_[i].process.signal(SIGSTOP);
  members_[i].paused = true;
}

void EtcdCluster::resume(size_t i) {
  members_[i].process.signal(SIGCONT);
  members_[i].paused = false;
}

std::string EtcdCluster::url(const std::string& prefix, size_t first) const {
  std::string url = tls_ ? "etcds://" : "etcd://";
  for (size_t k = 0; k < members_.size(); ++k) url += (k ? "," : "") + members_[(first + k) % members_.size()].client;
  url += "?prefix=" + prefix;
  if (tls_) url += "&ca=" + file("ca.pem") + "&cert=" + file("client.pem") + "&key=" + file("client.key");
  return url;
}

int EtcdCluster::leader() const {
  std::vector<uint64_t> ids(members_.size());
  uint64_t leader = 0, term = 0;
  for (size_t i = 0; i < members_.size(); ++i) {
    etcdserverpb::StatusResponse status;
    if (!runs(i) || !probes_[i].ask(&status)) continue;
    ids[i] = status.header().member_id();
    if (status.leader() != 0 && status.raftterm() >= term) leader = status.leader(), term = status.raftterm();
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (leader != 0 && ids[i] == leader) return static_cast<int>(i);
  }
  return -1;
}

uint64_t EtcdCluster::term() const {
  uint64_t term = 0;
  for (const Probe& probe : probes_) {
    etcdserverpb::StatusResponse status;
    if (probe.ask(&status) && status.leader() != 0) term = std::max<uint64_t>(term, status.raftterm());
  }
  return term;
}

bool EtcdCluster::wait_for_leader(int seconds) const {
  const TimePoint deadline = Clock::now() + std::chrono::seconds(seconds);
  while (Clock::now() < deadline) {
    if (leader() >= 0) return true;
    std::this_thread::sleep_for(Millis(50));
  }
  return false;
}

}  // namespace nm::store
