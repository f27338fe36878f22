//! Orders: what each costs is on record, and PrePaid ones are paid from the balance.

use jiff::{SignedDuration, Timestamp};
use openpeta_rpc_api::ApiError;
use openpeta_store::{NewOrder, OrderFilter, Writer};
use openpeta_types::{AccountId, ChargeType, DbName, InstanceId, OrderId};
use serde_json::{Value, json};

use super::{Lot, Quote, Term};
use crate::ControlError;
use crate::parts::Parts;

/// Orders that are looked through for the one to be cancelled: it is among an instance's newest.
const RECENT: u32 = 1_000;

/// Something that is ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purchase<'a> {
    pub(crate) account_id: AccountId,
    pub(crate) instance_id: &'a InstanceId,
    /// The database; `None` for all of the instance.
    pub(crate) db_name: Option<&'a DbName>,
    /// The API action, or the operator's command.
    pub(crate) action: &'static str,
    pub(crate) sale: Sale<'a>,
    pub(crate) now: Timestamp,
}

/// What is sold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sale<'a> {
    /// A new database, PostPaid.
    PostPaid(Lot<'a>),
    /// A new database, PrePaid for some months.
    PrePaid { lot: Lot<'a>, months: u32 },
    /// A new database, PrePaid as long as the instance that it comes into.
    PrePaidUntil { lot: Lot<'a>, expires_at: Timestamp },
    /// Some more months for a PrePaid database that there is.
    Renewal { lot: Lot<'a>, months: u32 },
    /// Other nodes for a database that there is.
    Resize {
        from: Lot<'a>,
        to: Lot<'a>,
        charge_type: ChargeType,
        expires_at: Timestamp,
    },
}

impl Parts {
    /// Writes an order, in the transaction of what it orders. A PrePaid one is paid at once.
    ///
    /// # Errors
    /// `InsufficientBalance`, when orders are charged for and the balance is overdue or does not
    /// suffice.
    pub(crate) fn place_order(
        &self,
        writer: &Writer<'_>,
        purchase: &Purchase<'_>,
    ) -> Result<OrderId, ControlError> {
        let quote = self.quote(&purchase.sale, purchase.now);
        let amount_cents = match purchase.sale.charge_type() {
            ChargeType::PrePaid => quote.trade_cents,
            // Paid for by the hour, as it is used.
            ChargeType::PostPaid => 0,
        };
        let paid_cents = if self.config.billing.charge {
            self.pay(writer, purchase.account_id, amount_cents)?;
            amount_cents
        } else {
            0
        };
        Ok(writer.insert_order(&NewOrder {
            account_id: purchase.account_id,
            instance_id: purchase.instance_id.clone(),
            db_name: purchase.db_name.cloned(),
            action: purchase.action.to_owned(),
            charge_type: Some(purchase.sale.charge_type()),
            currency: Some(self.prices.currency().to_owned()),
            amount_cents,
            paid_cents,
            details: Some(details(&purchase.sale, &quote).to_string()),
            created_at: purchase.now,
        })?)
    }

    /// Takes an amount from a balance that must cover it.
    fn pay(
        &self,
        writer: &Writer<'_>,
        account_id: AccountId,
        cents: i64,
    ) -> Result<(), ControlError> {
        let tenant = writer
            .tenant(account_id)?
            .ok_or_else(|| ControlError::internal("the ordering tenant is gone"))?;
        if tenant.balance_cents < cents.max(0) {
            return Err(ApiError::insufficient_balance().into());
        }
        if cents > 0 {
            writer.change_balance(account_id, -cents)?;
        }
        Ok(())
    }

    /// What a sale costs: an hour of it when it is PostPaid, all of it when it is PrePaid.
    pub(super) fn quote(&self, sale: &Sale<'_>, now: Timestamp) -> Quote<'_> {
        const HOUR: Term = Term::Used(3_600);
        let rest = |expires_at: Timestamp| {
            let left: SignedDuration = expires_at.duration_since(now);
            Term::Rest(left.as_secs())
        };
        match *sale {
            Sale::PostPaid(lot) => self.prices.quote(lot, HOUR),
            Sale::PrePaid { lot, months } | Sale::Renewal { lot, months } => {
                self.prices.quote(lot, Term::Months(months))
            }
            Sale::PrePaidUntil { lot, expires_at } => self.prices.quote(lot, rest(expires_at)),
            Sale::Resize {
                to,
                charge_type: ChargeType::PostPaid,
                ..
            } => self.prices.quote(to, HOUR),
            Sale::Resize {
                from,
                to,
                expires_at,
                ..
            } => {
                let term = rest(expires_at);
                let had = self.prices.quote(from, term);
                self.prices.quote(to, term).beyond(&had)
            }
        }
    }

    /// Takes back the newest order of that action about an instance (and one of its databases),
    /// because it came to nothing: what was paid for it returns to the balance. An order that is
    /// not there, or was taken back before, is no error.
    pub(crate) fn cancel_order(
        &self,
        writer: &Writer<'_>,
        instance_id: &InstanceId,
        db_name: Option<&DbName>,
        action: &str,
    ) -> Result<(), ControlError> {
        let filter = OrderFilter {
            instance_id: Some(instance_id.clone()),
            ..OrderFilter::default()
        };
        let orders = writer.orders(&filter, RECENT)?;
        let found = orders.iter().find(|found| {
            found.order.action == action
                && db_name.is_none_or(|name| found.order.db_name.as_ref() == Some(name))
        });
        let Some(found) = found.filter(|found| found.cancelled_at.is_none()) else {
            return Ok(());
        };
        writer.cancel_order(found.order_id, Timestamp::now())?;
        if found.order.paid_cents > 0 {
            writer.change_balance(found.order.account_id, found.order.paid_cents)?;
        }
        Ok(())
    }
}

impl Sale<'_> {
    const fn charge_type(&self) -> ChargeType {
        match self {
            Self::PostPaid(_) => ChargeType::PostPaid,
            Self::PrePaid { .. } | Self::PrePaidUntil { .. } | Self::Renewal { .. } => {
                ChargeType::PrePaid
            }
            Self::Resize { charge_type, .. } => *charge_type,
        }
    }
}

/// What the operator may want to know later of how the amount came about.
fn details(sale: &Sale<'_>, quote: &Quote<'_>) -> Value {
    let (kind, lot) = match sale {
        Sale::PostPaid(lot) | Sale::PrePaid { lot, .. } | Sale::PrePaidUntil { lot, .. } => {
            ("BUY", lot)
        }
        Sale::Renewal { lot, .. } => ("RENEW", lot),
        Sale::Resize { to, .. } => ("UPGRADE", to),
    };
    let mut details = json!({
        "order_type": kind,
        "node_spec": lot.node_spec.as_str(),
        "node_number": lot.nodes,
        "rule_ids": quote.rules.iter().map(|rule| rule.id).collect::<Vec<_>>(),
    });
    match sale {
        Sale::PrePaid { months, .. } | Sale::Renewal { months, .. } => {
            details["months"] = (*months).into()
        }
        Sale::Resize { from, .. } => {
            details["from_node_spec"] = from.node_spec.as_str().into();
            details["from_node_number"] = from.nodes.into();
        }
        Sale::PostPaid(_) | Sale::PrePaidUntil { .. } => {}
    }
    match sale.charge_type() {
        ChargeType::PostPaid => details["hourly_cents"] = quote.trade_cents.into(),
        ChargeType::PrePaid => details["list_cents"] = quote.original_cents.into(),
    }
    details
}
