//! `cargo xtask picture`: what a person sees who opens an exported page, as a PNG.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{run, tools};

/// A page that does not come to rest must not hold up CI.
const SECONDS: &str = "90";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let wanted = Wanted::parse(arguments)?;
    let modules = tools::for_pictures()?;
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
    browser
        .arg(SECONDS)
        .arg("node")
        .arg(run::root().join("tests/browser/picture.mjs"))
        .args([&page, &picture])
        .arg(format!("{}x{}", wanted.width, wanted.height))
        .env("EXPORT_ROOM_NODE_MODULES", modules);
    if wanted.dark {
        browser.arg("--dark");
    }
    if wanted.print {
        browser.arg("--print");
    }
    if let Some(place) = &wanted.at {
        browser.arg("--at").arg(place);
    }
    run::visibly(&mut browser)?;
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
    /// As it comes out of a printer.
    print: bool,
    /// Selector of what is to be at the top.
    at: Option<String>,
    width: u32,
    height: u32,
}

impl Wanted {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut paths = Vec::new();
        let (mut dark, mut print, mut at) = (false, false, None);
        let (mut width, mut height) = (1200, 1600);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--dark" => dark = true,
                "--print" => print = true,
                "--at" => at = Some(rest.next().context("--at needs a selector")?.clone()),
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
            print,
            at,
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Wanted;

    fn parse(arguments: &[&str]) -> anyhow::Result<Wanted> {
        let arguments: Vec<String> = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        Wanted::parse(&arguments)
    }

    #[test]
    fn options_may_stand_anywhere() {
        let wanted = parse(&[
            "--dark", "a.zip", "--size", "800x600", "--at", "#m-1", "b.png", "--print",
        ])
        .unwrap();
        assert!(wanted.dark && wanted.print);
        assert_eq!(wanted.at.as_deref(), Some("#m-1"));
        assert_eq!((wanted.width, wanted.height), (800, 600));
        assert_eq!(wanted.picture, Path::new("b.png"));
    }

    #[test]
    fn two_paths_are_needed() {
        assert!(parse(&["a.zip"]).is_err());
        assert!(parse(&["a.zip", "b.png", "c.png"]).is_err());
        assert!(parse(&["a.zip", "b.png", "--size", "large"]).is_err());
    }
}
