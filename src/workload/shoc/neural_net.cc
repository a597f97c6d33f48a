// NeuralNet: trains a small net (784 - 30 - 10, sigmoid) to read digits, by stochastic gradient descent on batches of
// ten. A batch is far too little work for a GPU: what counts is how fast launches follow each other, thousands of them,
// and how soon one kernel sees what the one before has written. SHOC's net, rate and numbers of digits; the digits are
// drawn by the program (SHOC reads MNIST's from files).
//
// A run of thousands of steps cannot be compared with one in double precision at its end: rounding errors grow along
// the way. So the device's net is taken at several points of the training, goes on for some steps on the host and on
// the device, and both must have learnt the same; and at the end it must read digits that it has not seen.
#include "workload/shoc/neural_net_reference.h"
#include "workload/shoc/programs.h"

namespace nm::workload::shoc {
namespace {

constexpr uint32_t kThreads = 224;

class Trainer {
 public:
  Trainer(device::Device& device, const Digits& digits)
      : images(device.allocate(digits.images.size() * sizeof(float))),
        values(device.allocate(digits.values.size() * sizeof(int32_t))),
        device_(device),
        digits_(digits),
        w1_(device.allocate(kHidden * kInputs * sizeof(float))),
        b1_(device.allocate(kHidden * sizeof(float))),
        hidden_(device.allocate(kBatch * kHidden * sizeof(float))),
        hidden_kernel_(device.kernel("neural_net", "sp", "nn_hidden")),
        learn_kernel_(device.kernel("neural_net", "sp", "nn_learn")) {
    for (device::Buffer& w2 : w2_) w2 = device.allocate(kOutputs * kHidden * sizeof(float));
    for (device::Buffer& b2 : b2_) b2 = device.allocate(kOutputs * sizeof(float));
  }

  // `net` must stay until the device has finished.
  void begin(const Net<float>& net) {
    device_.write(w1_, 0, net.w1.data(), w1_.bytes(), false);
    device_.write(b1_, 0, net.b1.data(), b1_.bytes(), false);
    device_.write(w2_[0], 0, net.w2.data(), w2_[0].bytes(), false);
    device_.write(b2_[0], 0, net.b2.data(), b2_[0].bytes(), false);
    now_ = 0;
  }

  // `steps` batches from the one of number `step` on; after the last digit comes the first again.
  void go(size_t step, size_t steps) {
    const size_t batches = digits_.values.size() / kBatch;
    for (size_t i = step; i < step + steps; ++i) {
      const auto first = static_cast<int32_t>(i % batches * kBatch);
      device_.launch(hidden_kernel_, {kHidden}, {kThreads}, images, first, w1_, b1_, hidden_);
      device_.launch(learn_kernel_, {kHidden}, {kThreads}, images, values, first, hidden_, w1_, b1_, w2_[now_],
                     b2_[now_], w2_[1 - now_], b2_[1 - now_], static_cast<float>(kLearningRate / kBatch));
      now_ = 1 - now_;
    }
  }

  Net<float> net() {
    Net<float> net;
    device_.read(w1_, 0, net.w1.data(), w1_.bytes());
    device_.read(b1_, 0, net.b1.data(), b1_.bytes());
    device_.read(w2_[now_], 0, net.w2.data(), w2_[now_].bytes());
    device_.read(b2_[now_], 0, net.b2.data(), b2_[now_].bytes());
    return net;
  }

  const device::Buffer images, values;

 private:
  device::Device& device_;
  const Digits& digits_;
  const device::Buffer w1_, b1_, hidden_;
  device::Buffer w2_[2], b2_[2];
  size_t now_ = 0;  // which of the two holds the net
  device::Kernel hidden_kernel_, learn_kernel_;
};

}  // namespace

void neural_net(Run& run) {
  device::Device& device = run.device();
  // SHOC has one size: 5,000 digits, ten times over. MNIST itself has 60,000.
  const size_t count = run.pick<size_t>(400, 5000, 60000), epochs = run.pick<size_t>(2, 10, 1);
  const size_t steps = epochs * count / kBatch;
  const Digits digits = draw_digits(run.random(), count), unseen = draw_digits(run.random(), 1000);
  const Net<float> begin = random_net(run.random());
  Trainer trainer(device, digits);
  const device::PinnedMemory images = device.allocate_pinned(trainer.images.bytes());
  std::copy(digits.images.begin(), digits.images.end(), images.as<float>().begin());
  const auto upload = [&] {
    device.write(trainer.images, 0, images.data(), images.bytes(), false);
    device.write(trainer.values, 0, digits.values.data(), trainer.values.bytes(), false);
  };
  upload();

  // Step by step.
  trainer.begin(begin);
  constexpr size_t kStretches = 10;
  const size_t stretch = steps / kStretches, compared = std::min<size_t>(stretch, 10);
  double worst = 0;
  for (size_t s = 0; s < kStretches; ++s) {
    const Net<double> before = Net<double>::from(trainer.net());
    trainer.go(s * stretch, compared);
    Net<double> reference = before;
    for (size_t i = s * stretch; i < s * stretch + compared; ++i) {
      learn(reference, digits, i % (count / kBatch) * kBatch);
    }
    worst = std::max(worst, error_of_change(Net<double>::from(trainer.net()), reference, before));
    trainer.go(s * stretch + compared, stretch - compared);
  }
  // Ten steps change the net by 1e-2 of its length early on and by 1e-3 at the end; their rounding moves it by 1e-7.
  run.check("what the net learns in ten steps", worst, 1e-3);

  const Net<float> learnt = trainer.net();
  const Grade untaught = grade(Net<double>::from(begin), unseen), taught = grade(Net<double>::from(learnt), unseen);
  run.check("cost, as a share of the untaught net's", taught.cost / untaught.cost, run.pick(0.5, 0.2, 0.2));
  // SHOC's threshold is 80 % read right; the short training of size ci gets less far, but well past guessing.
  run.check("share of unseen digits read wrong", 1 - taught.right, run.pick(0.75, 0.2, 0.2));
  // The kernels add in a fixed order: a training from the same begin ends at the same net, to the last bit.
  const auto check = [&](std::string_view what) {
    const Net<float> again = trainer.net();
    run.check(what, again.w1 == learnt.w1 && again.b1 == learnt.b1 && again.w2 == learnt.w2 && again.b2 == learnt.b2);
  };

  const auto sets = static_cast<double>(steps * kBatch);
  run.sample({"nn_learning", "training_sets/s"}, rates(sets, run.device_seconds([&] {
               trainer.begin(begin);
               trainer.go(0, steps);
             })));
  check("nn_learning");
  device.fill(trainer.images, 0, 0, trainer.images.bytes());
  run.sample({"nn_learning_pcie", "training_sets/s", true, true}, rates(sets, run.wall_seconds([&] {
               upload();
               trainer.begin(begin);
               trainer.go(0, steps);
               trainer.net();
             })));
  check("nn_learning_pcie");
}

}  // namespace nm::workload::shoc
