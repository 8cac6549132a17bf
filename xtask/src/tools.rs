//! What the tests need besides Rust: Debian packages, a Python environment and modules of Node.
//!
//! Installs only what is missing, so that a machine which has everything needs neither root nor a network.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run;

/// A program in `PATH`, or a file, that tests or commands need, and the Debian package that has it.
struct Tool {
    program: &'static str,
    package: &'static str,
}

/// Three unpackers, because each is strict about other things; Python for a second opinion on BSON; curl for the commands
/// that the demo prints; a browser, because an exported page is made for one; Node for Rocket.Chat's own parser and to
/// drive the browser.
const TOOLS: &[Tool] = &[
    Tool {
        program: "unzip",
        package: "unzip",
    },
    Tool {
        program: "7z",
        package: "p7zip-full",
    },
    Tool {
        program: "bsdtar",
        package: "libarchive-tools",
    },
    Tool {
        program: "curl",
        package: "curl",
    },
    Tool {
        program: "python3",
        package: "python3",
    },
    Tool {
        program: "chromium",
        package: "chromium",
    },
    // The proxies that `deploy/` configures.
    Tool {
        program: "nginx",
        package: "nginx-light",
    },
    Tool {
        program: "caddy",
        package: "caddy",
    },
    // Reads the units that are there.
    Tool {
        program: "systemd-analyze",
        package: "systemd",
    },
    // Reads a room as mails and finds its threads.
    Tool {
        program: "notmuch",
        package: "notmuch",
    },
    Tool {
        program: "node",
        package: "nodejs",
    },
    Tool {
        program: "npm",
        package: "npm",
    },
];

/// What only pictures need.
const PICTURE_TOOLS: &[Tool] = &[Tool {
    program: "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
    package: "fonts-noto-color-emoji",
}];

/// What was installed, for the environment of the tests.
#[derive(Debug)]
pub(crate) struct Installed {
    /// The interpreter of the virtual environment.
    pub(crate) python: PathBuf,
    /// The directory with the modules of `node/package.json`.
    pub(crate) node_modules: PathBuf,
}

/// Makes sure that everything the tests need is there.
pub(crate) fn for_tests() -> Result<Installed> {
    let mut packages = missing(TOOLS);
    // Debian's python3 lacks what `python3 -m venv` needs.
    if !can_make_environments() {
        packages.push("python3-venv");
    }
    debian_packages(&packages)?;
    Ok(Installed {
        python: python_environment()?,
        node_modules: node_modules()?,
    })
}

/// Makes sure that everything for taking a picture of an export is there; the directory with the modules of
/// `node/package.json`.
pub(crate) fn for_pictures() -> Result<PathBuf> {
    let needed = TOOLS
        .iter()
        .filter(|tool| matches!(tool.program, "chromium" | "bsdtar" | "node" | "npm"))
        .chain(PICTURE_TOOLS);
    debian_packages(&missing(needed))?;
    node_modules()
}

fn missing<'a>(tools: impl IntoIterator<Item = &'a Tool>) -> Vec<&'static str> {
    tools
        .into_iter()
        .filter(|tool| !run::is_installed(tool.program))
        .map(|tool| tool.package)
        .collect()
}

fn can_make_environments() -> bool {
    Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn debian_packages(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let wanted = packages.join(" ");
    if !run::is_installed("apt-get") || !is_root()? {
        bail!("please install these packages (Debian's names) and start again: {wanted}");
    }
    run::visibly(&mut apt(&["update", "--quiet"]))?;
    let mut install = apt(&["install", "--quiet", "--yes", "--no-install-recommends"]);
    run::visibly(install.args(packages))
        .with_context(|| format!("the tests need these packages: {wanted}"))
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(arguments);
    command
}

fn is_root() -> Result<bool> {
    Ok(run::output_of(Command::new("id").arg("-u"))?.trim() == "0")
}

fn python_environment() -> Result<PathBuf> {
    let environment = run::tools_directory().join("venv");
    let python = environment.join("bin/python");
    let requirements = run::root().join("xtask/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let stamp = environment.join("installed.txt");
    // The interpreter may have gone with an upgrade of the system: a stamp alone proves nothing.
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) && python.exists() {
        return Ok(python);
    }
    run::make_directory(&run::tools_directory())?;
    run::visibly(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )?;
    run::visibly(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .arg("--requirement")
            .arg(&requirements),
    )?;
    std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}

fn node_modules() -> Result<PathBuf> {
    let place = run::tools_directory().join("node");
    let modules = place.join("node_modules");
    let wanted = run::root().join("xtask/node");
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let lock = read(&wanted.join("package-lock.json"))?;
    // npm's own note of what it installed is not compared: its form is npm's affair.
    let stamp = place.join("installed.json");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == lock) && modules.is_dir() {
        return Ok(modules);
    }
    run::make_directory(&place)?;
    for (name, bytes) in [
        ("package.json", read(&wanted.join("package.json"))?),
        ("package-lock.json", lock.clone()),
    ] {
        let path = place.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    // The browser is Debian's, so nothing has to be fetched after the install.
    run::visibly(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&place),
    )?;
    std::fs::write(&stamp, lock).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(modules)
}
