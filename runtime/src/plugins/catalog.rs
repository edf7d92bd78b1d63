//! The plugins that Porter can install by name.

/// A plugin that a Python package ships.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownPlugin {
    /// The name by which Porter's commands know it.
    pub name: &'static str,
    /// What it is for, in a line.
    pub about: &'static str,
    /// The Python package.
    pub package: &'static str,
    /// The version that Porter is tested with.
    pub version: &'static str,
    /// The SHA-256 of the package's wheels, one for each Python where they differ; empty where none is
    /// pinned.
    pub wheel_sha256: &'static [&'static str],
    /// The library's path inside the package.
    pub library: &'static str,
    /// The SHA-256 of the library.
    pub library_sha256: Option<&'static str>,
    /// Further packages that the library needs beside it, as pip requirements.
    pub needs: &'static [&'static str],
}

/// Every plugin that Porter knows; the first is the default.
pub const CATALOG: &[KnownPlugin] = &[
    KnownPlugin {
        name: "cpu",
        about: "XLA for the CPU (XLA of jaxlib 0.11.2)",
        package: "lammps-jax-pjrt-cpu",
        version: "0.11.2",
        wheel_sha256: &["1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1"],
        library: "lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so",
        library_sha256: Some("ad1309ac822b1b24d51b7f9947c7c9fa9ef5d67f390584cbc3d1fa2428fed9c2"),
        needs: &[],
    },
    KnownPlugin {
        name: "cpu-zml",
        about: "XLA for the CPU, built by ZML; a second opinion for tests",
        package: "fastatomstruct-xla-cpu",
        version: "2026.6.23",
        wheel_sha256: &["88b1c430b341b4bea40a37420311c9c75db6e22b46d2ff95b6986577bee6afe9"],
        library: "fastatomstruct_xla_cpu/libpjrt_cpu.so",
        library_sha256: Some("0a0fe56ca17be9efc7b942e89e534e5e0ad4a0f1e369b66d27b62184509015b9"),
        needs: &[],
    },
    KnownPlugin {
        name: "tpu",
        about: "Google's TPU runtime and ahead-of-time TPU compiler (Google Cloud terms)",
        package: "libtpu",
        version: "0.0.52",
        // Python 3.11, 3.12, 3.13, 3.14, and 3.14 without a global lock.
        wheel_sha256: &[
            "f5e2e596eaea9357fbb5a6755a7a9007c6ab75bfde4a55191b03eff402971140",
            "f76ab1f4d697c346371c50058796f6baa93317b89be8cf8a1012715a2655120d",
            "bf962d290626e93828f4ffafef96dfff8d8bfd0d64f506ca6f953e6e1e7c8e87",
            "1c250f39da2c604eeaace2a552593219d9c6f9a11aefef5fe063b1410a315cec",
            "ea2fed72da6931352369ec5d33ecd39ed32410233aa68b6c3c46872003e6cde6",
        ],
        library: "libtpu/libtpu.so",
        library_sha256: Some("f86de4d04a058e6b5101f73e0824b95f27e2cec996d2b9191d9cffda75c03077"),
        needs: &[],
    },
    KnownPlugin {
        name: "cuda13",
        about: "XLA for NVIDIA GPUs with CUDA 13",
        package: "jax-cuda13-pjrt",
        version: "0.10.2",
        wheel_sha256: &[],
        library: "jax_plugins/xla_cuda13/xla_cuda_plugin.so",
        library_sha256: None,
        // What `jax-cuda13-plugin[with-cuda]==0.10.2` resolves to, without the Python side.
        needs: &[
            "nvidia-cublas==13.10.0.20",
            "nvidia-cuda-cccl==13.3.5.0.6",
            "nvidia-cuda-crt==13.5.37",
            "nvidia-cuda-cupti==13.5.25",
            "nvidia-cuda-nvcc==13.5.37",
            "nvidia-cuda-nvrtc==13.5.37",
            "nvidia-cuda-runtime==13.5.37",
            "nvidia-cudnn-cu13==9.28.1.4",
            "nvidia-cufft==12.5.0.14",
            "nvidia-cusolver==12.4.1.2",
            "nvidia-cusparse==12.9.4.2",
            "nvidia-nccl-cu13==2.32.3",
            "nvidia-nvjitlink==13.5.37",
            "nvidia-nvshmem-cu13==3.8.0",
            "nvidia-nvvm==13.5.37",
        ],
    },
];

/// The plugin of this name, or of the Python package of this name: `libtpu` is `tpu`.
pub fn known(name: &str) -> Option<&'static KnownPlugin> {
    CATALOG.iter().find(|plugin| plugin.name == name || plugin.package == name)
}

impl KnownPlugin {
    /// The name of its folder among Porter's plugins.
    pub(crate) fn folder(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// The lines of the requirements file that installs it.
    pub(crate) fn requirements(&self) -> String {
        let own = format!("{}=={}", self.package, self.version);
        let hashed = self.wheel_sha256.iter().fold(own, |line, hash| line + " --hash=sha256:" + hash) + "\n";
        self.needs.iter().fold(hashed, |lines, need| lines + need + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_hashes_are_sha256() {
        for (i, plugin) in CATALOG.iter().enumerate() {
            assert!(CATALOG[..i].iter().all(|other| other.name != plugin.name));
            for hash in plugin.wheel_sha256.iter().copied().chain(plugin.library_sha256) {
                assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
            }
        }
    }

    #[test]
    fn pinned_plugins_are_installed_by_hash() {
        assert_eq!(
            known("cpu").unwrap().requirements(),
            "lammps-jax-pjrt-cpu==0.11.2 --hash=sha256:1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1\n"
        );
        let tpu = known("tpu").unwrap().requirements();
        assert!(
            tpu.starts_with("libtpu==0.0.52 --hash=sha256:") && tpu.matches("--hash").count() == 5,
            "{tpu}"
        );
        assert_eq!(known("libtpu"), known("tpu"));
        assert_eq!(known("gpu"), None);
    }
}
