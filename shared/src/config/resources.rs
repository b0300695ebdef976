//! The names of the AWS resources: set by the template, never written in `tandem.toml`.

use super::reader::Reader;
use super::{ConfigError, Place, Resources};
use crate::queue::Queue;

fn variable_part(queue: Queue) -> String {
    queue.name().to_ascii_uppercase().replace('-', "_")
}

pub(super) fn read(reader: &Reader<'_>) -> Resources {
    let get = |name: &str| reader.variable(name).map(|f| f.value).unwrap_or_default();
    let mut resources = Resources {
        orders_table: get("TANDEM_ORDERS_TABLE"),
        links_table: get("TANDEM_LINKS_TABLE"),
        control_table: get("TANDEM_CONTROL_TABLE"),
        schedule_group: get("TANDEM_SCHEDULE_GROUP"),
        schedule_role_arn: get("TANDEM_SCHEDULE_ROLE_ARN"),
        reports_bucket: get("TANDEM_REPORTS_BUCKET"),
        ..Resources::default()
    };
    for queue in Queue::ALL {
        let part = variable_part(queue);
        for (variable, map) in [
            (format!("TANDEM_QUEUE_{part}_URL"), &mut resources.queue_urls),
            (format!("TANDEM_QUEUE_{part}_ARN"), &mut resources.queue_arns),
            (format!("TANDEM_DEAD_QUEUE_{part}_URL"), &mut resources.dead_queue_urls),
        ] {
            if let Some(found) = reader.variable(&variable) {
                map.insert(queue.name().to_owned(), found.value);
            }
        }
    }
    resources
}

impl Resources {
    /// The queue's URL, or an error that names the variable the template forgot.
    pub fn queue_url(&self, queue: Queue) -> Result<&str, ConfigError> {
        self.queue_urls.get(queue.name()).map(String::as_str).ok_or_else(|| ConfigError {
            place: Place::Variable(format!("TANDEM_QUEUE_{}_URL", variable_part(queue))),
            key: "resources".to_owned(),
            wrong: "is not set".to_owned(),
            instead: "let the template set it to the queue's URL".to_owned(),
        })
    }
}
