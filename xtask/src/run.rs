//! Starting other programs: visibly, without input, and with a failure that names what failed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().unwrap_or(&package).to_owned()
}

/// Where installed tools live; ignored by git.
pub(crate) fn tools_directory() -> PathBuf {
    root().join(".tools")
}

/// The cargo that runs this program, started in the root of the repository.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command to its end, with its output shown, and fails when it fails.
pub(crate) fn visibly(command: &mut Command) -> Result<()> {
    let shown = describe(command);
    println!("==> {shown}");
    let begin = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    println!("    {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a command to its end and gives back what it printed.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let shown = describe(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed ({})", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("the output of `{shown}` is not text"))
}

/// Whether a program of this name is in `PATH`; of a file with a full path, whether it exists.
pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|place| place.join(program).is_file()))
}

/// An empty directory under `target`, made anew.
pub(crate) fn fresh_directory(name: &str) -> Result<PathBuf> {
    let path = root().join("target").join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path)
            .with_context(|| format!("cannot clear {}", path.display()))?;
    }
    make_directory(&path)?;
    Ok(path)
}

/// Makes a directory and its parents.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
