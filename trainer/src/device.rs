//! Where training computes: the CPU always, a CUDA card where the program was built for one and the driver is there.

use anyhow::Result;
use burn::tensor::Device;
use clap::ValueEnum;

/// A place to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// The processor (burn-flex).
    Cpu,
    /// The first CUDA card.
    Cuda,
}

/// The device, without autodiff.
///
/// # Errors
/// When the program was built without CUDA, or no driver is there: what is missing, and how to get it.
pub fn open(backend: Backend) -> Result<Device> {
    match backend {
        Backend::Cpu => Ok(Device::flex()),
        Backend::Cuda => cuda(),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device> {
    anyhow::bail!(
        "this limen-train was built without CUDA; build it with `cargo build --release --workspace --features \
         limen-train/cuda`, or carry one made by cross/trainer-cuda"
    )
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device> {
    // burn panics at the first use where the driver is missing, so ask for it first.
    const NAMES: [&str; 2] = ["libcuda.so.1", "libcuda.so"];
    let paths = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let usual = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/lib/wsl/lib",
    ];
    let folders = paths.split(':').filter(|p| !p.is_empty()).chain(usual);
    let found = folders.flat_map(|f| NAMES.map(|n| std::path::Path::new(f).join(n))).any(|p| p.exists());
    anyhow::ensure!(
        found,
        "no CUDA driver here (libcuda.so.1 is not in LD_LIBRARY_PATH or the usual folders): install NVIDIA's driver, or \
         train with --device cpu"
    );
    Ok(Device::cuda(0))
}
