// SPDX-License-Identifier: GPL-3.0-or-later
// The file of the control socket, and who may connect to it.
#include "engine/control/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include <QFile>
#include <QTemporaryDir>
#include <QTest>

#include "engine/control/client_identity.h"
#include "tests/support/control_client.h"

using namespace tandem;
using namespace tandem::control;
using tandem::testing::ControlClient;

namespace {

/// A socket file that nobody listens on, as a killed engine leaves it.
bool leaveSocketFile(const std::string& path) {
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

}  // namespace

class ControlSocketTest final : public QObject {
  Q_OBJECT

  QTemporaryDir folder_;
  std::string path_;

 private slots:
  void init() { path_ = folder_.filePath(QStringLiteral("c.sock")).toStdString(); }
  void cleanup() { ::unlink(path_.c_str()); }

  void itsFileIsForUserAndGroupAndGoneAtTheEnd() {
    {
      const auto socket = ControlSocket::open(path_);
      QVERIFY(socket.ok());
      struct stat info {};
      QCOMPARE(::lstat(path_.c_str(), &info), 0);
      QCOMPARE(info.st_mode & 0777U, 0660U);
      QCOMPARE((*socket)->group(), info.st_gid);
      QVERIFY(ControlClient(path_).connected());
    }
    QVERIFY(!exists(path_));
  }

  void aFileThatNobodyListensOnIsReplaced() {
    QVERIFY(leaveSocketFile(path_));
    QVERIFY(!ControlClient(path_).connected());
    const auto socket = ControlSocket::open(path_);
    QVERIFY(socket.ok());
    QVERIFY(ControlClient(path_).connected());
  }

  void whatAnEngineLeftThatDiedBeforeItListenedIsRemoved() {
    const std::string unready = folder_.filePath(QStringLiteral(".new")).toStdString();
    QVERIFY(leaveSocketFile(unready));
    const auto socket = ControlSocket::open(path_);
    QVERIFY(socket.ok());
    QVERIFY(!exists(unready));
    QVERIFY(ControlClient(path_).connected());
  }

  void whoSeesItsFileCanConnect() {
    // A client that is told of the file by the system, as soon as it is there.
    for (int i = 0; i < 200; ++i) {
      std::atomic<bool> over = false;
      bool connected = false;
      std::thread client([&] {
        while (!over && !exists(path_)) {
        }
        connected = over || ControlClient(path_).connected();
      });
      const auto socket = ControlSocket::open(path_);
      over = !socket.ok();
      client.join();
      QVERIFY(socket.ok());
      QVERIFY(connected);
    }
  }

  void aSocketThatSomebodyListensOnIsLeftAloneAndItsOwnerNamed() {
    const auto first = ControlSocket::open(path_);
    const auto second = ControlSocket::open(path_);
    QVERIFY(!second.ok());
    QVERIFY(second.error().code == ErrorCode::AlreadyExists);
    QVERIFY(second.error().message.find("pid " + std::to_string(::getpid())) != std::string::npos);
    QVERIFY(second.error().message.find(path_) != std::string::npos);
    QVERIFY(ControlClient(path_).connected());
  }

  void aFileThatIsNoSocketIsLeftAlone() {
    QFile file(QString::fromStdString(path_));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write("precious");
    file.close();
    const auto socket = ControlSocket::open(path_);
    QVERIFY(!socket.ok());
    QVERIFY(socket.error().code == ErrorCode::AlreadyExists);
    QVERIFY(socket.error().message.find("no socket") != std::string::npos);
    QVERIFY(file.open(QIODevice::ReadOnly));
    QCOMPARE(file.readAll(), QByteArray("precious"));
  }

  void aFileThatSomebodyElsePutThereStays() {
    {
      const auto socket = ControlSocket::open(path_);
      QVERIFY(socket.ok());
      QCOMPARE(::unlink(path_.c_str()), 0);
      QVERIFY(leaveSocketFile(path_));
    }
    QVERIFY(exists(path_));
  }

  void aPathLongerThanTheSystemAllowsIsNamed() {
    const std::string longest = folder_.path().toStdString() + "/" +
                                std::string(107 - 1 - folder_.path().toStdString().size(), 'x');
    QVERIFY(ControlSocket::open(longest).ok());
    const auto socket = ControlSocket::open(longest + "x");
    QVERIFY(!socket.ok());
    QVERIFY(socket.error().code == ErrorCode::OutOfRange);
    QVERIFY(socket.error().message.find("108 bytes") != std::string::npos);
    QVERIFY(socket.error().message.find("1 to 107") != std::string::npos);
  }

  void aMissingFolderIsNamed() {
    const auto socket = ControlSocket::open(folder_.path().toStdString() + "/none/c.sock");
    QVERIFY(!socket.ok());
    QVERIFY(socket.error().code == ErrorCode::NotFound);
    QVERIFY(socket.error().message.find(folder_.path().toStdString() + "/none") !=
            std::string::npos);
  }

  void rootTheOwnUserAndTheGroupMayControlOthersMayNot() {
    const uid_t engine = 1000;
    const gid_t group = 50;
    QVERIFY(mayControl({1, 0, 0, {}}, engine, group));
    QVERIFY(mayControl({1, 1000, 7, {}}, engine, group));
    QVERIFY(mayControl({1, 1001, 50, {}}, engine, group));
    QVERIFY(mayControl({1, 1001, 7, {8, 50}}, engine, group));
    QVERIFY(!mayControl({1, 1001, 7, {}}, engine, group));
    QVERIFY(!mayControl({1, 1001, 1000, {0, 1000}}, engine, group));
  }

  void theKernelSaysWhoConnected() {
    const auto socket = ControlSocket::open(path_);
    QVERIFY(socket.ok());
    const ControlClient client(path_);
    const FileDescriptor accepted(::accept((*socket)->fd(), nullptr, nullptr));
    const Result<ClientIdentity> identity = identityOf(accepted.get());
    QVERIFY(identity.ok());
    QCOMPARE(identity->pid, ::getpid());
    QCOMPARE(identity->uid, ::geteuid());
    QCOMPARE(identity->gid, ::getegid());
    QCOMPARE(static_cast<int>(identity->groups.size()), ::getgroups(0, nullptr));
  }
};

QTEST_APPLESS_MAIN(ControlSocketTest)
#include "control_socket_test.moc"
