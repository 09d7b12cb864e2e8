// SPDX-License-Identifier: Apache-2.0
// A ReLU network that learns to read handwritten digits, with its own CUDA kernels: forward, backward and stochastic
// gradient descent. fanin initialises it: one Plan fills all parameters in device memory. trainer.py is the same
// program in NumPy. Every sum is made in a fixed order, so that a device repeats its results.
#include <cuda_runtime.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "fanin/device.cuh"
#include "fanin/fanin.hpp"

namespace {

constexpr int pixels = 64;
constexpr int classes = 10;
constexpr int training_samples = 1437;  // the first of the shuffled samples; the others are the test set
constexpr int batch = 32;
constexpr float learning_rate = 0.05F;
constexpr float momentum = 0.9F;

// ------------------------------------------------------------------------------------------------ kernels

constexpr int threads = 128;  // per block

// c = a b, where a has m rows and k columns and b has k rows and n columns. A transposed matrix is stored as its
// transpose.
template <bool transposed_a, bool transposed_b>
__global__ void multiply(const float* a, const float* b, float* c, int m, int n, int k) {
  const int element = blockIdx.x * blockDim.x + threadIdx.x;
  if (element >= m * n) return;
  const int row = element / n;
  const int column = element % n;
  float sum = 0;
  for (int i = 0; i < k; ++i) {
    sum += a[transposed_a ? i * m + row : row * k + i] * b[transposed_b ? column * k + i : i * n + column];
  }
  c[element] = sum;
}

__global__ void add_bias(float* z, const float* bias, int rows, int columns, bool relu) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows * columns) return;
  const float sum = z[i] + bias[i % columns];
  z[i] = relu ? fmaxf(sum, 0) : sum;
}

// One thread per sample. It writes the sample's loss, whether the largest logit is the label's, and, over the logits,
// the gradient of the samples' mean loss.
__global__ void softmax_cross_entropy(float* logits, const int* labels, float* losses, int* hits, int rows) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  float* z = logits + row * classes;
  int best = 0;
  for (int i = 1; i < classes; ++i) best = z[i] > z[best] ? i : best;
  const float greatest = z[best];
  float sum = 0;
  for (int i = 0; i < classes; ++i) sum += expf(z[i] - greatest);
  losses[row] = logf(sum) - (z[labels[row]] - greatest);
  hits[row] = best == labels[row];
  for (int i = 0; i < classes; ++i) {
    z[i] = (expf(z[i] - greatest) / sum - (i == labels[row] ? 1.0F : 0.0F)) / static_cast<float>(rows);
  }
}

// The gradient passes where the ReLU passed its input.
__global__ void relu_backward(float* gradient, const float* output, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count && output[i] <= 0) gradient[i] = 0;
}

__global__ void sum_rows(const float* a, float* sums, int rows, int columns) {
  const int column = blockIdx.x * blockDim.x + threadIdx.x;
  if (column >= columns) return;
  float sum = 0;
  for (int row = 0; row < rows; ++row) sum += a[row * columns + column];
  sums[column] = sum;
}

// What a parameter was filled with.
struct Initial {
  fanin::device::Distribution<float> distribution;
  std::uint64_t seed, subsequence;
};

// The first step draws the initial values again and counts those that the parameter no longer has: then a kernel wrote
// where it must not. No copy of the initial values is kept.
__global__ void step(float* parameter, float* velocity, const float* gradient, int count, Initial initial, bool first,
                     int* changed) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  if (first && parameter[i] != fanin::device::value(initial.distribution, initial.seed, initial.subsequence, i)) {
    atomicAdd(changed, 1);
  }
  velocity[i] = momentum * velocity[i] - learning_rate * gradient[i];
  parameter[i] += velocity[i];
}

// ------------------------------------------------------------------------------------------------ device memory

void check(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(error));
}

struct Free {
  void operator()(void* memory) const { cudaFree(memory); }
};

template <class T>
struct DeviceArray {
  explicit DeviceArray(std::size_t count) : size(count) {
    T* address = nullptr;
    check(cudaMalloc(&address, count * sizeof(T)));
    memory.reset(address);
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    check(cudaMemcpy(get(), values.data(), size * sizeof(T), cudaMemcpyHostToDevice));
  }
  T* get() const { return memory.get(); }

  std::size_t size;
  std::unique_ptr<T, Free> memory;
};

template <class T>
std::vector<T> to_host(const DeviceArray<T>& array, cudaStream_t stream) {
  std::vector<T> values(array.size);
  check(cudaMemcpyAsync(values.data(), array.get(), array.size * sizeof(T), cudaMemcpyDeviceToHost, stream));
  check(cudaStreamSynchronize(stream));
  return values;
}

// ------------------------------------------------------------------------------------------------ the network

struct Parameter {
  std::string name;
  fanin::Shape shape;
  DeviceArray<float> value, gradient, velocity;
  Initial initial;
};

struct Layer {
  int inputs, outputs;
  Parameter weight, bias;
  DeviceArray<float> output, output_gradient;  // of one batch
};

Parameter make_parameter(fanin::Plan& plan, const fanin::Initializer& initializer, const fanin::Shape& shape,
                         const std::string& name) {
  std::size_t count = 1;
  for (const auto extent : shape) count *= extent;
  fanin::TensorOptions options;
  options.name = name;
  const fanin::FillParams params = initializer.params(shape, fanin::DType::float32, options);
  Parameter p{name,
              shape,
              DeviceArray<float>(count),
              DeviceArray<float>(count),
              DeviceArray<float>(count),
              {fanin::device::distribution_of<float>(params), params.seed, params.subsequence}};
  const auto view = [](const DeviceArray<float>& array) {
    return fanin::View{array.get(), fanin::DType::float32, array.size * sizeof(float), fanin::cuda(0)};
  };
  plan.add(initializer, view(p.value), shape, options);
  plan.add(fanin::Zeros(), view(p.velocity), shape, name + ".velocity");
  return p;  // gradients are written before they are read
}

class Network {
 public:
  Network(const std::vector<int>& widths, std::uint64_t seed, cudaStream_t stream) : stream_(stream) {
    fanin::Plan plan;
    for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
      const int in = widths[l];
      const int out = widths[l + 1];
      const std::string name = "layer." + std::to_string(l);
      layers_.push_back({in, out, make_parameter(plan, fanin::HeNormal(seed), {in, out}, name + ".weight"),
                         make_parameter(plan, fanin::Zeros(), {out}, name + ".bias"), DeviceArray<float>(batch * out),
                         DeviceArray<float>(batch * out)});
    }
    plan.fill({stream});  // asynchronous, as a kernel's launch is
  }

  // Writes losses and hits, and the gradient of the loss over the last layer's output.
  void forward(const float* input, const int* labels, float* losses, int* hits, int rows) {
    for (const Layer& layer : layers_) {
      float* output = layer.output.get();
      const int count = rows * layer.outputs;
      const bool relu = &layer != &layers_.back();
      launch(multiply<false, false>, count, input, layer.weight.value.get(), output, rows, layer.outputs, layer.inputs);
      launch(add_bias, count, output, layer.bias.value.get(), rows, layer.outputs, relu);
      input = output;
    }
    launch(softmax_cross_entropy, rows, layers_.back().output.get(), labels, losses, hits, rows);
  }

  // Call forward with the same input first.
  void backward(const float* input, int rows) {
    const float* gradient = layers_.back().output.get();
    for (std::size_t l = layers_.size(); l-- > 0;) {
      const Parameter& weight = layers_[l].weight;
      const Parameter& bias = layers_[l].bias;
      const int in = layers_[l].inputs;
      const int out = layers_[l].outputs;
      const float* layer_input = l > 0 ? layers_[l - 1].output.get() : input;
      launch(multiply<true, false>, in * out, layer_input, gradient, weight.gradient.get(), in, out, rows);
      launch(sum_rows, out, gradient, bias.gradient.get(), rows, out);
      if (l > 0) {
        float* input_gradient = layers_[l - 1].output_gradient.get();
        launch(multiply<false, true>, rows * in, gradient, weight.value.get(), input_gradient, rows, in, out);
        launch(relu_backward, rows * in, input_gradient, layer_input, rows * in);
        gradient = input_gradient;
      }
    }
  }

  void descend() {
    for (const Layer& layer : layers_) {
      for (const Parameter* p : {&layer.weight, &layer.bias}) {
        const int count = static_cast<int>(p->value.size);
        launch(step, count, p->value.get(), p->velocity.get(), p->gradient.get(), count, p->initial, first_step_,
               changed_.get());
      }
    }
    if (first_step_ && to_host(changed_, stream_)[0] != 0) throw std::runtime_error("the initial parameters changed");
    first_step_ = false;
  }

  // Prints the parameters with checksums of their bits, which one seed makes the same on every machine.
  void print() const {
    for (const Layer& layer : layers_) {
      for (const Parameter* p : {&layer.weight, &layer.bias}) {
        const std::uint32_t checksum = crc32(to_host(p->value, stream_));
        std::printf("%s %s crc32 %08x\n", p->name.c_str(), fanin::to_string(p->shape).c_str(), checksum);
      }
    }
  }

 private:
  // One thread for each of `count` elements.
  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), int count, Arguments... arguments) {
    kernel<<<(count + threads - 1) / threads, threads, 0, stream_>>>(arguments...);
    check(cudaGetLastError());
  }

  static std::uint32_t crc32(const std::vector<float>& values) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
    std::uint32_t crc = 0xffffffff;
    for (std::size_t i = 0; i < values.size() * sizeof(float); ++i) {
      crc ^= bytes[i];
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
  }

  cudaStream_t stream_;
  std::vector<Layer> layers_;
  bool first_step_ = true;
  DeviceArray<int> changed_{std::vector<int>{0}};
};

// ------------------------------------------------------------------------------------------------ the program

struct Samples {
  std::vector<float> images;  // a row per sample, 0 to 1
  std::vector<int> labels;
};

// Reads a sample per line: its pixels, 0 to 16, and its label. Shuffles them, always in the same way.
Samples read_samples(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::invalid_argument("cannot read " + path + "; say with --data where digits.csv is");
  std::vector<std::vector<int>> rows;
  for (std::string line; std::getline(file, line);) {
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream numbers(line);
    rows.emplace_back(std::istream_iterator<int>(numbers), std::istream_iterator<int>());
    if (rows.back().size() != pixels + 1 || rows.back()[pixels] < 0 || rows.back()[pixels] >= classes) {
      throw std::invalid_argument(path + ", line " + std::to_string(rows.size()) +
                                  ": expected 64 pixels and a digit, with commas");
    }
  }
  if (rows.size() <= training_samples) {
    throw std::invalid_argument(path + " must have more than " + std::to_string(training_samples) + " lines");
  }

  std::uint64_t state = 1;
  for (std::size_t i = rows.size() - 1; i > 0; --i) {  // Fisher-Yates, with Knuth's linear congruential generator
    state = state * 6364136223846793005U + 1442695040888963407U;
    std::swap(rows[i], rows[(state >> 33) % (i + 1)]);
  }
  Samples samples;
  for (const std::vector<int>& row : rows) {
    for (int i = 0; i < pixels; ++i) samples.images.push_back(static_cast<float>(row[i]) / 16);
    samples.labels.push_back(row[pixels]);
  }
  return samples;
}

struct Options {
  std::uint64_t epochs = 20, seed = 42, layers = 2, width = 128;
  std::string data = TRAINER_DATA;
};

Options read_options(int argc, char** argv) {
  Options options;
  const struct {
    std::string name;
    std::uint64_t *value, least, most;
  } numbers[] = {{"--epochs", &options.epochs, 1, 1000000},
                 {"--seed", &options.seed, 0, std::numeric_limits<std::uint64_t>::max()},
                 {"--layers", &options.layers, 0, 100},
                 {"--width", &options.width, 1, 8192}};
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    const std::string text = i + 1 < argc ? argv[i + 1] : "";
    const auto* number = std::find_if(std::begin(numbers), std::end(numbers), [&](auto& n) { return n.name == name; });
    if (name == "--data" && !text.empty()) {
      options.data = text;
    } else if (number == std::end(numbers)) {
      throw std::invalid_argument("usage: trainer [--epochs N] [--seed N] [--layers N] [--width N] [--data FILE]");
    } else {
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number->value);
      if (error != std::errc() || *end != 0 || *number->value < number->least || *number->value > number->most) {
        throw std::invalid_argument(name + " takes a whole number from " + std::to_string(number->least) + " to " +
                                    std::to_string(number->most));
      }
    }
  }
  return options;
}

void train(const Options& options) {
  const Samples samples = read_samples(options.data);
  const int count = static_cast<int>(samples.labels.size());
  cudaStream_t stream = nullptr;
  check(cudaStreamCreate(&stream));
  const DeviceArray<float> images(samples.images);
  const DeviceArray<int> labels(samples.labels);
  const DeviceArray<float> losses(samples.labels.size());
  const DeviceArray<int> hits(samples.labels.size());

  std::vector<int> widths(options.layers + 2, static_cast<int>(options.width));
  widths.front() = pixels;
  widths.back() = classes;
  Network network(widths, options.seed, stream);
  network.print();

  for (std::uint64_t epoch = 1; epoch <= options.epochs; ++epoch) {
    const auto pass = [&](int begin, int end, bool learn) {
      for (int i = begin; i < end; i += batch) {
        const int rows = std::min(batch, end - i);
        const float* input = images.get() + i * pixels;
        network.forward(input, labels.get() + i, losses.get() + i, hits.get() + i, rows);
        if (learn) {
          network.backward(input, rows);
          network.descend();
        }
      }
    };
    pass(0, training_samples, true);
    pass(training_samples, count, false);
    const std::vector<float> loss = to_host(losses, stream);
    const std::vector<int> hit = to_host(hits, stream);
    double loss_sum = 0;
    for (int i = 0; i < training_samples; ++i) loss_sum += loss[i];
    int hit_sum = 0;
    for (int i = training_samples; i < count; ++i) hit_sum += hit[i];
    std::printf("epoch %d loss %.6f test accuracy %.4f\n", static_cast<int>(epoch), loss_sum / training_samples,
                static_cast<double>(hit_sum) / (count - training_samples));
    std::fflush(stdout);
  }
  check(cudaStreamDestroy(stream));
}

}  // namespace

// Exit status 2: a wrong option or file; 77: no CUDA device; 1: any other failure.
int main(int argc, char** argv) {
  try {
    const Options options = read_options(argc, argv);
    const fanin::Availability available = fanin::available();
    if (available.cuda_devices == 0) {
      std::fprintf(stderr, "trainer: no CUDA device that fanin can fill: %s\n", available.reason.c_str());
      return 77;
    }
    train(options);
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "trainer: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "trainer: %s\n", error.what());
    return 1;
  }
}
