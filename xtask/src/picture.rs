//! `cargo xtask picture`: what a person sees who opens an exported page, as a PNG.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{run, tools};

/// A page that does not come to rest must not hold up CI.
const SECONDS: &str = "90";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let wanted = Wanted::parse(arguments)?;
    tools::for_pictures()?;
    let directory = run::fresh_directory("xtask-picture")?;
    let page = if wanted.source.extension().is_some_and(|kind| kind == "zip") {
        unpack(&wanted.source, &directory.join("export"))?
    } else {
        wanted.source.clone()
    };
    let page = std::path::absolute(&page)?;
    if !page.is_file() {
        bail!("there is no {}", page.display());
    }
    let picture = std::path::absolute(&wanted.picture)?;

    let mut browser = Command::new("timeout");
    browser.arg(SECONDS).arg("chromium").args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
    ]);
    // Of the two settings, one decides the browser's own colours and the other what the page is told.
    if wanted.dark {
        browser.args([
            "--force-dark-mode",
            "--blink-settings=preferredColorScheme=0",
        ]);
    } else {
        browser.arg("--blink-settings=preferredColorScheme=1");
    }
    browser
        .arg(format!(
            "--user-data-dir={}",
            directory.join("profile").display()
        ))
        .arg(format!("--window-size={},{}", wanted.width, wanted.height))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(address(&page));
    // It complains at length about a desktop that is not there.
    let log = directory.join("browser.log");
    let complaints =
        File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    run::visibly(browser.stderr(complaints))
        .with_context(|| format!("the browser's messages are in {}", log.display()))?;
    // The browser answers with success when it could not write.
    let size = std::fs::metadata(&picture)
        .with_context(|| format!("the browser made no picture of {}", page.display()))?
        .len();
    println!("{}: {size} bytes", picture.display());
    Ok(())
}

#[derive(Debug)]
struct Wanted {
    source: PathBuf,
    picture: PathBuf,
    dark: bool,
    width: u32,
    height: u32,
}

impl Wanted {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut paths = Vec::new();
        let (mut dark, mut width, mut height) = (false, 1200, 1600);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--dark" => dark = true,
                "--size" => {
                    let size = rest.next().and_then(|size| size.split_once('x'));
                    let (wide, high) = size.context("--size needs a value like 1200x1600")?;
                    (width, height) = (wide.parse()?, high.parse()?);
                }
                path => paths.push(PathBuf::from(path)),
            }
        }
        let Ok([source, picture]) = <[PathBuf; 2]>::try_from(paths) else {
            bail!("picture needs two paths: an export or a page, and the picture to write");
        };
        Ok(Self {
            source,
            picture,
            dark,
            width,
            height,
        })
    }
}

/// Unpacks an export and finds its first page, the HTML file on the top level; with more than one, that with the
/// shortest name, because later pages have the first one's name and a number.
fn unpack(archive: &Path, directory: &Path) -> Result<PathBuf> {
    run::make_directory(directory)?;
    run::visibly(
        Command::new("bsdtar")
            // Entry names are UTF-8, whatever this machine's language is.
            .env("LC_ALL", "C.UTF-8")
            .arg("-xf")
            .arg(archive)
            .arg("-C")
            .arg(directory),
    )?;
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "html") {
            pages.push(path);
        }
    }
    pages.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    pages
        .into_iter()
        .next()
        .with_context(|| format!("{} has no page", archive.display()))
}

/// A `file:` address; everything that might mean something in an address is encoded.
fn address(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut address = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => {
                address.push(char::from(*byte));
            }
            other => {
                // Writing to a string cannot fail.
                let _ = write!(address, "%{other:02X}");
            }
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Wanted, address};

    fn parse(arguments: &[&str]) -> anyhow::Result<Wanted> {
        let arguments: Vec<String> = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        Wanted::parse(&arguments)
    }

    #[test]
    fn options_may_stand_anywhere() {
        let wanted = parse(&["--dark", "a.zip", "--size", "800x600", "b.png"]).unwrap();
        assert!(wanted.dark);
        assert_eq!((wanted.width, wanted.height), (800, 600));
        assert_eq!(wanted.picture, Path::new("b.png"));
    }

    #[test]
    fn two_paths_are_needed() {
        assert!(parse(&["a.zip"]).is_err());
        assert!(parse(&["a.zip", "b.png", "c.png"]).is_err());
        assert!(parse(&["a.zip", "b.png", "--size", "large"]).is_err());
    }

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(
            address(Path::new("/tmp/a b#c?.html")),
            "file:///tmp/a%20b%23c%3F.html"
        );
    }
}
