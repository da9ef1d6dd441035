//! Editors told of the project file's JSON Schema.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use millrace_model::{Code, Fault, Result};
use serde_json::{Map, Value, json};

use crate::pull::put;

/// The file of the schema beside Visual Studio Code's settings.
const VSCODE_SCHEMA: &str = ".vscode/millrace.schema.json";
const VSCODE_SETTINGS: &str = ".vscode/settings.json";
/// The file of the schema beside the project file.
const SCHEMA: &str = "millrace.schema.json";

/// Writes the schema and Visual Studio Code's setting for it (`yaml.schemas` of the YAML extension) into the project's
/// folder; what else is set there stays. Returns what was written.
///
/// # Errors
/// [`Code::ProjectSyntax`], for an operator, for settings with comments, which would be lost: it says what to add by hand.
pub fn vscode(folder: &Path, schema: &Value) -> Result<Vec<PathBuf>> {
    let (settings, schema_file) = (folder.join(VSCODE_SETTINGS), folder.join(VSCODE_SCHEMA));
    let merged = merged(&read(&settings)?, &files(folder)).map_err(|wanted| {
        let message = format!("{} is not plain JSON (it may have comments): add {wanted} to it by hand", settings.display());
        Fault::operator(Code::ProjectSyntax, message)
    })?;
    put(&schema_file, &format!("{schema:#}\n"))?;
    put(&settings, &format!("{merged:#}\n"))?;
    Ok(vec![schema_file, settings])
}

/// Writes the schema beside the project file, and into its first line where the YAML language server, which most editors
/// use, finds it. Returns what was written.
pub fn modeline(folder: &Path, schema: &Value) -> Result<Vec<PathBuf>> {
    let schema_file = folder.join(SCHEMA);
    put(&schema_file, &format!("{schema:#}\n"))?;
    let mut written = vec![schema_file];
    for name in files(folder).iter().map(|name| folder.join(name)).filter(|file| file.is_file()) {
        let text = read(&name)?;
        if !text.lines().any(|line| line.starts_with("# yaml-language-server:")) {
            put(&name, &format!("# yaml-language-server: $schema={SCHEMA}\n{text}"))?;
            written.push(name);
        }
    }
    Ok(written)
}

/// The project's files, as the setting names them.
fn files(folder: &Path) -> Vec<String> {
    let single = ["millrace.yaml", "millrace.yml"].into_iter().find(|name| folder.join(name).is_file());
    single.map_or_else(|| yaml_files(folder), |name| vec![name.to_owned()])
}

fn yaml_files(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let yaml = files.filter(|file| file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
    let mut names: Vec<String> = yaml.filter_map(|file| Some(file.file_name()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

fn read(file: &Path) -> Result<String> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Fault::operator(Code::Io, format!("{} can't be read", file.display())).because(error)),
    }
}

/// The settings with the schema's among them; what is to be added where they can't be read.
fn merged(settings: &str, files: &[String]) -> Result<Value, String> {
    let address = format!("./{VSCODE_SCHEMA}");
    let wanted = || json!({ "yaml.schemas": { &address: files } }).to_string();
    let mut settings: Map<String, Value> = match settings.trim() {
        "" => Map::new(),
        text => serde_json::from_str(text).map_err(|_| wanted())?,
    };
    let schemas = settings.entry("yaml.schemas").or_insert_with(|| json!({}));
    schemas.as_object_mut().ok_or_else(wanted)?.insert(address, json!(files));
    Ok(Value::Object(settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_else_is_set_stays() {
        let settings = r#"{ "editor.tabSize": 2, "yaml.schemas": { "https://example.com/a.json": "a.yaml" } }"#;
        let merged = merged(settings, &["millrace.yaml".into()]).expect("is JSON");
        assert_eq!(merged["editor.tabSize"], 2);
        assert_eq!(merged["yaml.schemas"]["https://example.com/a.json"], "a.yaml");
        assert_eq!(merged["yaml.schemas"]["./.vscode/millrace.schema.json"], json!(["millrace.yaml"]));
    }

    #[test]
    fn settings_with_comments_are_left_alone() {
        let wanted = merged("{ // mine\n}", &["millrace.yaml".into()]).expect_err("is no JSON");
        assert!(wanted.contains("yaml.schemas") && wanted.contains("millrace.yaml"), "{wanted}");
    }

    #[test]
    fn both_ways_of_telling_an_editor_are_the_same_the_second_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        fs::write(path.join("millrace.yaml"), "version: 1\n").expect("writes");
        for _ in 0..2 {
            vscode(path, &json!({})).expect("writes");
            modeline(path, &json!({})).expect("writes");
        }
        let text = fs::read_to_string(path.join("millrace.yaml")).expect("reads");
        assert_eq!(text, "# yaml-language-server: $schema=millrace.schema.json\nversion: 1\n");
        let settings: Value = serde_json::from_str(&fs::read_to_string(path.join(VSCODE_SETTINGS)).expect("reads")).expect("is JSON");
        assert_eq!(settings["yaml.schemas"].as_object().map(Map::len), Some(1));
    }
}
