//! From a file to a tree: `.dts` files by the device-tree compiler `dtc`, everything else as a blob.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::Tree;
use crate::error::{Error, Place};
use crate::file;

/// Reads a device tree from source or blob.
///
/// # Errors
/// The file cannot be read, `dtc` is missing or refuses it, or it is not a device tree.
pub fn read(path: &Path) -> Result<Tree, Error> {
    let is_source = path.extension().is_some_and(|extension| extension == "dts");
    let blob = if is_source {
        compile(path)?
    } else {
        file::read(path)?
    };
    let place = Place::new(&path.display().to_string(), "");
    Tree::parse(&blob).map_err(|error| place.wrong("", error.to_string()).into())
}

fn compile(path: &Path) -> Result<Vec<u8>, Error> {
    // dtc's own message for a missing file is about its internals.
    fs::metadata(path).map_err(|error| Error::file("read", path, &error))?;
    let output = dtc().arg(path).output();
    compiled(output, &path.display().to_string())
}

/// Compiles source that is in no file; `name` is what messages call it.
///
/// # Errors
/// `dtc` is missing or refuses it.
pub fn source(text: &str, name: &str) -> Result<Tree, Error> {
    let pipes = || (Stdio::piped(), Stdio::piped(), Stdio::piped());
    let (input, output, said) = pipes();
    let child = dtc()
        .arg("-")
        .stdin(input)
        .stdout(output)
        .stderr(said)
        .spawn();
    let output = child.and_then(|mut child| {
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(text.as_bytes())?;
        }
        child.wait_with_output()
    });
    let blob = compiled(output, name)?;
    let place = Place::new(name, "");
    Tree::parse(&blob).map_err(|error| place.wrong("", error.to_string()).into())
}

fn dtc() -> Command {
    let mut command = Command::new("dtc");
    command.args(["-q", "-I", "dts", "-O", "dtb", "--"]);
    command
}

fn compiled(output: io::Result<Output>, name: &str) -> Result<Vec<u8>, Error> {
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::System(format!(
                "{name} is device-tree source and the compiler `dtc` is not installed: \
                 apt-get install device-tree-compiler, or compile it elsewhere and give the .dtb"
            )));
        }
        Err(error) => return Err(Error::System(format!("cannot run dtc: {error}"))),
    };
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let place = Place::new(name, "");
    Err(place
        .wrong("", format!("dtc refuses it: {}", said.trim()))
        .into())
}
