# SPDX-License-Identifier: Apache-2.0
from spack.package import *


class Fanin(CMakePackage, CudaPackage):
    """Initialises the weights of neural networks with the initializers of Keras: one seed gives one set of weights, on every
    processor, GPU, thread count and shard."""

    homepage = "https://example.org/fanin"
    url = "https://example.org/fanin-0.2.0.tar.gz"

    license("Apache-2.0")

    version("0.2.0", sha256="0000000000000000000000000000000000000000000000000000000000000000")

    variant("shared", default=True, description="Build shared libraries")
    variant("tools", default=True, description="Build the program fanin")
    variant("mpfr", default=True, description="Computed values with correctly rounded functions")

    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("highway", type="build")
    depends_on("nlohmann-json", type="build")
    depends_on("cli11", type="build", when="+tools")
    depends_on("mpfr", when="+mpfr")
    depends_on("cuda@12.1:", when="+cuda")

    conflicts("cuda_arch=none", when="+cuda", msg="Name the GPUs' architectures: cuda_arch=90")

    def cmake_args(self):
        return [
            self.define_from_variant("BUILD_SHARED_LIBS", "shared"),
            self.define_from_variant("FANIN_TOOLS", "tools"),
            self.define("FANIN_CUDA", "ON" if self.spec.satisfies("+cuda") else "OFF"),
            self.define("FANIN_MPFR", "ON" if self.spec.satisfies("+mpfr") else "OFF"),
            self.define("FANIN_TESTS", False),
            self.define("FANIN_EXAMPLES", False),
        ] + (
            [self.define("CMAKE_CUDA_ARCHITECTURES", ";".join(self.spec.variants["cuda_arch"].value))]
            if self.spec.satisfies("+cuda")
            else []
        )
