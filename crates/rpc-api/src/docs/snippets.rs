//! Calls of an action's example in the languages of the clients.

use super::sample::{endpoint, example_parameters};
use crate::{API_VERSION, ActionSpec, kebab_case};

/// A call in one language.
pub(super) struct Snippet {
    /// The language, as highlighters call it.
    pub(super) language: &'static str,
    /// What it is written for.
    pub(super) label: &'static str,
    /// The text.
    pub(super) source: String,
}

/// The region of the examples that name none.
const REGION: &str = "cn-hangzhou";

/// Actions that the vendor's SDK for Python has a request class of.
const PYTHON_SDK: [&str; 40] = [
    "AllocateInstancePublicConnection",
    "CreateAccount",
    "CreateDatabase",
    "CreateDatabaseBackup",
    "CreateInstance",
    "DeleteAccount",
    "DeleteDatabase",
    "DeleteInstance",
    "DescribeAccounts",
    "DescribeBackupPolicy",
    "DescribeDatabaseBackup",
    "DescribeDatabasePartitions",
    "DescribeDatabasePerformance",
    "DescribeDatabaseResourceUsage",
    "DescribeDatabases",
    "DescribeInstanceInfo",
    "DescribeInstancePerformance",
    "DescribeInstanceResourceUsage",
    "DescribeInstances",
    "DescribeMonitorItems",
    "DescribePrice",
    "DescribeRegions",
    "DescribeSecurityIPs",
    "DescribeTaskStatus",
    "DescribeTasks",
    "DescribeUserInfo",
    "GrantAccountPrivilege",
    "ListTagResources",
    "ModifyAccountDescription",
    "ModifyAccountPassword",
    "ModifyBackupPolicy",
    "ModifyInstanceName",
    "ModifySecurityIPs",
    "ReleaseInstancePublicConnection",
    "ResetAccountPassword",
    "RestoreDatabase",
    "RevokeAccountPrivilege",
    "SwitchInstanceNetType",
    "TagResources",
    "UntagResources",
];

/// The example of an action for every client.
pub(super) fn snippets(spec: &ActionSpec) -> [Snippet; 3] {
    [
        Snippet {
            language: "shell",
            label: "openpeta",
            source: command_line(spec),
        },
        Snippet {
            language: "python",
            label: "aliyun-python-sdk",
            source: python(spec),
        },
        Snippet {
            language: "javascript",
            label: "@alicloud/pop-core",
            source: node(spec),
        },
    ]
}

/// The parameters of an example, numbered ones together, secrets told apart.
enum Given {
    /// A parameter that is given once.
    Plain {
        name: &'static str,
        value: &'static str,
        is_secret: bool,
    },
    /// Values of a parameter such as `ResourceId.N`.
    Numbered {
        base: &'static str,
        values: Vec<&'static str>,
    },
    /// Keys and values of `Tag.N.Key` and `Tag.N.Value`.
    Pairs {
        base: &'static str,
        pairs: Vec<(&'static str, &'static str)>,
    },
}

fn given(spec: &ActionSpec) -> Vec<Given> {
    let mut all: Vec<Given> = Vec::new();
    for (name, value) in example_parameters(spec) {
        let parts: Vec<&'static str> = name.split('.').collect();
        match (parts.as_slice(), all.last_mut()) {
            ([base, _], Some(Given::Numbered { base: last, values })) if last == base => {
                values.push(value);
            }
            ([base, _], _) => all.push(Given::Numbered {
                base,
                values: vec![value],
            }),
            ([base, _, "Value"], Some(Given::Pairs { base: last, pairs })) if last == base => {
                if let Some((_, tag_value)) = pairs.last_mut() {
                    *tag_value = value;
                }
            }
            ([base, _, _], Some(Given::Pairs { base: last, pairs })) if last == base => {
                pairs.push((value, ""));
            }
            ([base, _, _], _) => all.push(Given::Pairs {
                base,
                pairs: vec![(value, "")],
            }),
            _ => all.push(Given::Plain {
                name,
                value,
                is_secret: spec.parameter(name).is_some_and(|own| own.secret),
            }),
        }
    }
    all
}

/// The subcommand of the action. Passwords come out of the environment, since others can read
/// the process list.
fn command_line(spec: &ActionSpec) -> String {
    let mut flags = Vec::new();
    let mut variables = Vec::new();
    let mut flag = |name: &str, value: &str| {
        flags.push(format!("--{} {}", kebab_case(name), shell_word(value)));
    };
    for parameter in given(spec) {
        match parameter {
            Given::Plain {
                name,
                is_secret: true,
                ..
            } => {
                let variable = kebab_case(name).replace('-', "_").to_uppercase();
                flag(name, &format!("env:{variable}"));
                variables.push(variable);
            }
            Given::Plain { name, value, .. } => flag(name, value),
            Given::Numbered { base, values } => {
                values.iter().for_each(|value| flag(base, value));
            }
            Given::Pairs { base, pairs } => {
                for (key, value) in pairs {
                    flag(base, &format!("{key}={value}"));
                }
            }
        }
    }
    let mut text = String::new();
    if !variables.is_empty() {
        text = format!("# Out of the environment: {}\n", variables.join(", "));
    }
    text.push_str(&format!("openpeta {}", kebab_case(spec.name)));
    let separator = if flags.len() > 2 { " \\\n  " } else { " " };
    for flag in flags {
        text.push_str(separator);
        text.push_str(&flag);
    }
    text
}

/// A word as a shell reads it back.
fn shell_word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:,=@%+".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The vendor's SDK: its own request class where it has one, else the general one.
fn python(spec: &ActionSpec) -> String {
    let name = spec.name;
    let has_class = PYTHON_SDK.contains(&name);
    let is_secure = endpoint(spec).starts_with("https");
    let (scheme, address) = endpoint(spec).split_once("://").unwrap_or_default();
    let import = match has_class {
        true => {
            format!("from aliyunsdkpetadata.request.v20160101.{name}Request import {name}Request")
        }
        false => "from aliyunsdkcore.request import CommonRequest".to_owned(),
    };
    let region = example_parameters(spec)
        .into_iter()
        .find(|(name, _)| *name == "RegionId")
        .map_or(REGION, |(_, region)| region);
    let verify = match is_secure {
        true => "\n    verify=os.environ[\"OPENPETA_CA_FILE\"],",
        false => "",
    };
    let mut lines = vec![
        "import os\n".to_owned(),
        format!("from aliyunsdkcore.client import AcsClient\n{import}\n"),
        format!(
            "client = AcsClient(\n    os.environ[\"ALIBABA_CLOUD_ACCESS_KEY_ID\"],\n    \
             os.environ[\"ALIBABA_CLOUD_ACCESS_KEY_SECRET\"],\n    \"{region}\",{verify}\n)"
        ),
    ];
    match has_class {
        true => {
            lines.push(format!("request = {name}Request()"));
            lines.push(format!("request.set_endpoint(\"{address}\")"));
        }
        false => lines.push(format!(
            "request = CommonRequest(\"{address}\", \"{API_VERSION}\", \"{name}\")"
        )),
    }
    lines.push(format!("request.set_protocol_type(\"{scheme}\")"));
    // The client adds its region to every call.
    let others = given(spec)
        .into_iter()
        .filter(|parameter| !matches!(parameter, Given::Plain { name, .. } if *name == "RegionId"));
    for parameter in others {
        lines.extend(if has_class {
            vec![python_setter(&parameter)]
        } else {
            python_parameters(&parameter)
        });
    }
    lines.push("print(client.do_action_with_exception(request).decode())".to_owned());
    lines.join("\n")
}

/// A call of the setter that a request class has.
fn python_setter(parameter: &Given) -> String {
    match parameter {
        Given::Plain { name, value, .. } => {
            // The class calls this one by its former name.
            let name = name
                .strip_prefix("Task")
                .filter(|name| *name == "Status")
                .unwrap_or(name);
            format!("request.set_{name}({})", quoted(value))
        }
        Given::Numbered { base, values } => {
            let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
            format!("request.set_{base}s([{}])", values.join(", "))
        }
        Given::Pairs { base, pairs } => {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(key, value)| {
                    format!("{{\"Key\": {}, \"Value\": {}}}", quoted(key), quoted(value))
                })
                .collect();
            format!("request.set_{base}s([{}])", pairs.join(", "))
        }
    }
}

/// The parameters as the general request takes them.
fn python_parameters(parameter: &Given) -> Vec<String> {
    let line = |name: &str, value: &str| {
        format!(
            "request.add_query_param({}, {})",
            quoted(name),
            quoted(value)
        )
    };
    flat(parameter)
        .iter()
        .map(|(name, value)| line(name, value))
        .collect()
}

/// The older SDK for Node, which every action works with.
fn node(spec: &ActionSpec) -> String {
    let endpoint = endpoint(spec);
    let is_secure = endpoint.starts_with("https");
    let (import, ca) = match is_secure {
        true => (
            "const fs = require(\"node:fs\");\n",
            ", ca: fs.readFileSync(process.env.OPENPETA_CA_FILE)",
        ),
        false => ("", ""),
    };
    let mut parameters = String::new();
    for (name, value) in given(spec).iter().flat_map(flat) {
        let is_identifier = name.bytes().all(|b| b.is_ascii_alphanumeric());
        let key = if is_identifier { name } else { quoted(&name) };
        parameters.push_str(&format!("  {key}: {},\n", quoted(value)));
    }
    let parameters = match parameters.is_empty() {
        true => "{}".to_owned(),
        false => format!("{{\n{parameters}}}"),
    };
    format!(
        "{import}const {{ RPCClient }} = require(\"@alicloud/pop-core\");\n\n\
         const client = new RPCClient({{\n  endpoint: \"{endpoint}\",\n  \
         apiVersion: \"{API_VERSION}\",\n  \
         accessKeyId: process.env.ALIBABA_CLOUD_ACCESS_KEY_ID,\n  \
         accessKeySecret: process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,\n}});\n\
         const parameters = {parameters};\n\
         client.request(\"{}\", parameters, {{ method: \"POST\"{ca} }}).then(console.log);",
        spec.name,
    )
}

/// Names and values as they are sent.
fn flat(parameter: &Given) -> Vec<(String, &'static str)> {
    match parameter {
        Given::Plain { name, value, .. } => vec![((*name).to_owned(), *value)],
        Given::Numbered { base, values } => (1..)
            .zip(values)
            .map(|(number, value)| (format!("{base}.{number}"), *value))
            .collect(),
        Given::Pairs { base, pairs } => (1..)
            .zip(pairs)
            .flat_map(|(number, (key, value))| {
                [
                    (format!("{base}.{number}.Key"), *key),
                    (format!("{base}.{number}.Value"), *value),
                ]
            })
            .collect(),
    }
}

/// A literal that Python and JavaScript read alike.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Action;

    fn sources(action: Action) -> [String; 3] {
        snippets(action.spec()).map(|snippet| snippet.source)
    }

    #[test]
    fn passwords_are_not_on_the_command_line() {
        let [shell, ..] = sources(Action::CreateInstance);
        assert!(
            shell.contains("--account-password env:ACCOUNT_PASSWORD"),
            "{shell}"
        );
        for &action in Action::ALL {
            let secrets = action.spec().parameters.iter().filter(|own| own.secret);
            let [shell, ..] = sources(action);
            for secret in secrets {
                let given = example_parameters(action.spec());
                let value = given.iter().find(|(name, _)| *name == secret.name);
                assert!(value.is_none_or(|(_, value)| !shell.contains(value)));
            }
        }
    }

    #[test]
    fn repeated_parameters_are_what_each_client_calls_them() {
        let [shell, python, node] = sources(Action::TagResources);
        assert!(shell.contains("--resource-id pd-abcdefg62469a"), "{shell}");
        assert!(shell.contains("--tag team=shop"), "{shell}");
        assert!(
            python.contains("set_Tags([{\"Key\": \"team\", \"Value\": \"shop\"}])"),
            "{python}"
        );
        assert!(node.contains("\"Tag.1.Key\": \"team\""), "{node}");
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(shell_word("a-b/c:1,2=3"), "a-b/c:1,2=3");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
