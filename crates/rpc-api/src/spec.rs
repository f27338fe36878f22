//! What the table of actions says about each of them: the types, and short constructors
//! that keep the action files readable.

use crate::Action;

/// Everything that is known about an action without running it.
#[derive(Debug)]
pub struct ActionSpec {
    /// The action itself.
    pub action: Action,
    /// Its name, as clients send it and as policies spell it.
    pub name: &'static str,
    /// Other spellings that clients send.
    pub aliases: &'static [&'static str],
    /// The part of the API that it belongs to.
    pub section: Section,
    /// What it does, in a sentence or two.
    pub description: &'static str,
    /// Whether it changes anything; such calls leave an audit row.
    pub mutating: bool,
    /// Whether it answers before its work is done and leaves the rest to a task.
    pub creates_task: bool,
    /// Whether it wants HTTPS.
    pub https: HttpsRule,
    /// The resource that a RAM policy must grant.
    pub resource: RamResource,
    /// What must hold for the call to succeed.
    pub preconditions: &'static [&'static str],
    /// Its own parameters; the common ones are not repeated.
    pub parameters: &'static [ParameterSpec],
    /// The fields of its answer.
    pub response: &'static [FieldSpec],
    /// The errors it can answer besides those common to all actions.
    pub errors: &'static [ErrorSpec],
    /// A call that succeeds: parameters and values, without the common ones. A value in braces
    /// stands for an object that the caller has, see [`PLACEHOLDERS`](crate::docs::PLACEHOLDERS).
    /// The docs show it, the tests send it.
    pub example: &'static [(&'static str, &'static str)],
}

impl ActionSpec {
    /// The description of the parameter with that name or alias.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'static ParameterSpec> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name || parameter.aliases.contains(&name))
    }

    /// The parameter that names the instance which a RAM policy must grant, if the action has
    /// one.
    #[must_use]
    pub fn instance_parameter(&self) -> Option<&'static ParameterSpec> {
        const SPELLINGS: [&str; 5] = [
            "InstanceId",
            "DBInstanceId",
            "SrcInstanceId",
            "SourceInstanceId",
            "ConnectionString",
        ];
        self.parameters
            .iter()
            .find(|parameter| SPELLINGS.contains(&parameter.name))
    }
}

/// Part of the API; also the folder of the source and the heading in the docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Instances: order, describe, change, release; their tasks, whitelists and endpoints.
    Instances,
    /// Databases of an instance.
    Databases,
    /// Database accounts, and the calling account.
    Accounts,
    /// Metrics and disk usage.
    Monitoring,
    /// Backup sets, backup policies, restores.
    Backups,
    /// Tables and indexes.
    Tables,
    /// Tags of instances.
    Tags,
    /// Regions and zones.
    Regions,
    /// Prices and orders.
    Orders,
}

impl Section {
    /// Every section, in the order of the docs.
    pub const ALL: &'static [Self] = &[
        Self::Instances,
        Self::Databases,
        Self::Accounts,
        Self::Monitoring,
        Self::Backups,
        Self::Tables,
        Self::Tags,
        Self::Regions,
        Self::Orders,
    ];

    /// The folder name, for example `instances`.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Instances => "instances",
            Self::Databases => "databases",
            Self::Accounts => "accounts",
            Self::Monitoring => "monitoring",
            Self::Backups => "backups",
            Self::Tables => "tables",
            Self::Tags => "tags",
            Self::Regions => "regions",
            Self::Orders => "orders",
        }
    }

    /// The heading, for example `Instances`.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Instances => "Instances",
            Self::Databases => "Databases",
            Self::Accounts => "Accounts",
            Self::Monitoring => "Monitoring",
            Self::Backups => "Backups",
            Self::Tables => "Tables",
            Self::Tags => "Tags",
            Self::Regions => "Regions",
            Self::Orders => "Prices and orders",
        }
    }
}

/// Whether an action may be called over plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpsRule {
    /// HTTP and HTTPS alike.
    Optional,
    /// The API document asks for HTTPS, although no secret travels; a deployment may insist.
    Documented,
    /// The request carries a password: refused over plain HTTP unless the deployment allows it.
    CarriesSecret,
}

/// The resource that a RAM policy must grant for an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RamResource {
    /// `dbinstance/<InstanceId>`, the instance named by the call; `dbinstance/*` when none is.
    Instance,
    /// `dbinstance/*`.
    AnyInstance,
}

/// The form of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// Text.
    Text,
    /// A decimal number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A UTC time, `yyyy-MM-ddTHH:mm:ssZ` or `yyyy-MM-ddTHH:mmZ`.
    Time,
    /// Several parameters, numbered from 1 in the place of `N`.
    Repeated,
}

/// A parameter of an action.
#[derive(Debug)]
pub struct ParameterSpec {
    /// Its name; case matters.
    pub name: &'static str,
    /// Other spellings that clients send.
    pub aliases: &'static [&'static str],
    /// The form of its value.
    pub kind: ParameterKind,
    /// Whether a call without it, or with an empty value, is refused.
    pub required: bool,
    /// Whether the value must never be shown or logged.
    pub secret: bool,
    /// The value taken when none is given.
    pub default: Option<&'static str>,
    /// All values there are; empty when there is no such list.
    pub allowed: &'static [&'static str],
    /// What it means.
    pub description: &'static str,
    /// What its value must satisfy besides; may be empty.
    pub constraints: &'static str,
    /// The part of that which a program can check.
    pub rules: ValueRules,
}

/// Rules for a value in a form that a program can check; all of them are also said in words.
/// A value that follows them may still be refused, one that breaks one of them always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueRules {
    /// The smallest and the largest number.
    pub range: Option<(u32, u32)>,
    /// The fewest and the most characters.
    pub length: Option<(u32, u32)>,
    /// A regular expression (ECMA-262) that the whole value matches.
    pub pattern: Option<&'static str>,
    /// Whether the value is one or more of the allowed values, joined with commas.
    pub is_list: bool,
}

impl ValueRules {
    const NONE: Self = Self {
        range: None,
        length: None,
        pattern: None,
        is_list: false,
    };
}

impl ParameterSpec {
    const fn new(name: &'static str, kind: ParameterKind, description: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            kind,
            required: false,
            secret: false,
            default: None,
            allowed: &[],
            description,
            constraints: "",
            rules: ValueRules::NONE,
        }
    }

    pub(crate) const fn text(name: &'static str, description: &'static str) -> Self {
        Self::new(name, ParameterKind::Text, description)
    }

    pub(crate) const fn integer(name: &'static str, description: &'static str) -> Self {
        Self::new(name, ParameterKind::Integer, description)
    }

    pub(crate) const fn boolean(name: &'static str, description: &'static str) -> Self {
        Self::new(name, ParameterKind::Boolean, description)
    }

    pub(crate) const fn time(name: &'static str, description: &'static str) -> Self {
        Self::new(name, ParameterKind::Time, description)
    }

    pub(crate) const fn repeated(name: &'static str, description: &'static str) -> Self {
        Self::new(name, ParameterKind::Repeated, description)
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(crate) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    pub(crate) const fn allowed(mut self, values: &'static [&'static str]) -> Self {
        self.allowed = values;
        self
    }

    pub(crate) const fn constraints(mut self, text: &'static str) -> Self {
        self.constraints = text;
        self
    }

    pub(crate) const fn range(mut self, least: u32, most: u32) -> Self {
        self.rules.range = Some((least, most));
        self
    }

    pub(crate) const fn length(mut self, least: u32, most: u32) -> Self {
        self.rules.length = Some((least, most));
        self
    }

    pub(crate) const fn pattern(mut self, expression: &'static str) -> Self {
        self.rules.pattern = Some(expression);
        self
    }

    pub(crate) const fn list(mut self) -> Self {
        self.rules.is_list = true;
        self
    }

    /// The name without the number that a repeated parameter has, and what follows it.
    #[must_use]
    pub fn base_name(&self) -> &'static str {
        self.name.split(".N").next().unwrap_or(self.name)
    }
}

/// The form of a field of an answer.
#[derive(Clone, Copy, Debug)]
pub enum FieldKind {
    /// Text, also where it holds digits.
    Text,
    /// A number without a fraction.
    Integer,
    /// A number with a fraction.
    Float,
    /// `true` or `false`.
    Boolean,
    /// A UTC time as text, `yyyy-MM-ddTHH:mm:ssZ`.
    Time,
    /// An object with these fields.
    Object(&'static [FieldSpec]),
    /// A list: `{"Name":{"Item":[…]}}` in JSON, `<Name><Item>…</Item></Name>` in XML.
    List {
        /// The name of one item.
        item: &'static str,
        /// The fields of an item; empty when the items are texts.
        fields: &'static [FieldSpec],
    },
}

/// A field of an answer.
#[derive(Debug)]
pub struct FieldSpec {
    /// Its name.
    pub name: &'static str,
    /// Its form.
    pub kind: FieldKind,
    /// Whether it is left out when it has no value.
    pub optional: bool,
    /// All values there are; empty when there is no such list.
    pub allowed: &'static [&'static str],
    /// What it means.
    pub description: &'static str,
}

impl FieldSpec {
    const fn new(name: &'static str, kind: FieldKind, description: &'static str) -> Self {
        Self {
            name,
            kind,
            optional: false,
            allowed: &[],
            description,
        }
    }

    pub(crate) const fn text(name: &'static str, description: &'static str) -> Self {
        Self::new(name, FieldKind::Text, description)
    }

    pub(crate) const fn integer(name: &'static str, description: &'static str) -> Self {
        Self::new(name, FieldKind::Integer, description)
    }

    pub(crate) const fn float(name: &'static str, description: &'static str) -> Self {
        Self::new(name, FieldKind::Float, description)
    }

    pub(crate) const fn boolean(name: &'static str, description: &'static str) -> Self {
        Self::new(name, FieldKind::Boolean, description)
    }

    pub(crate) const fn time(name: &'static str, description: &'static str) -> Self {
        Self::new(name, FieldKind::Time, description)
    }

    pub(crate) const fn object(
        name: &'static str,
        fields: &'static [Self],
        description: &'static str,
    ) -> Self {
        Self::new(name, FieldKind::Object(fields), description)
    }

    pub(crate) const fn list(
        name: &'static str,
        item: &'static str,
        fields: &'static [Self],
        description: &'static str,
    ) -> Self {
        Self::new(name, FieldKind::List { item, fields }, description)
    }

    pub(crate) const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    pub(crate) const fn allowed(mut self, values: &'static [&'static str]) -> Self {
        self.allowed = values;
        self
    }
}

/// An error that an action can answer.
#[derive(Debug)]
pub struct ErrorSpec {
    /// Its code.
    pub code: &'static str,
    /// The HTTP status it comes with.
    pub http_status: u16,
    /// When it is answered.
    pub when: &'static str,
}

impl ErrorSpec {
    pub(crate) const fn new(code: &'static str, http_status: u16, when: &'static str) -> Self {
        Self {
            code,
            http_status,
            when,
        }
    }
}
