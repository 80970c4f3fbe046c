//! Parameters and policies for management. Every change waits for the disk.

use leveret_core::admin::{
    AdminError, Argument, GlobalParameterView, ParameterAdmin, ParameterView, PolicyView,
};
use leveret_core::arguments::Arguments;
use leveret_core::parameters::{GlobalParameter, Parameter, ParameterValue, Policy};
use leveret_engine::SharedRw;
use leveret_engine::broker::NAME_BYTES;

use super::BrokerAdmin;

fn value(given: &Argument) -> Result<ParameterValue, AdminError> {
    ParameterValue::new(given.clone()).map_err(|error| AdminError::BadRequest(error.to_string()))
}

fn check_names(names: &[&str]) -> Result<(), AdminError> {
    if names.iter().any(|name| name.len() > NAME_BYTES) {
        return Err(AdminError::BadRequest(format!("a name has at most {NAME_BYTES} bytes")));
    }
    Ok(())
}

impl ParameterAdmin for BrokerAdmin {
    fn parameters(&self) -> Vec<ParameterView> {
        let view = |parameter: &Parameter| ParameterView {
            vhost: parameter.vhost.to_string(),
            component: parameter.component.clone(),
            name: parameter.name.clone(),
            value: parameter.value.to_admin(),
        };
        self.broker.parameters.read(|all| all.all().map(view).collect())
    }

    fn put_parameter(&self, parameter: &ParameterView) -> Result<(), AdminError> {
        check_names(&[&parameter.component, &parameter.name])?;
        let put = self.broker.put_parameter(Parameter {
            vhost: parameter.vhost.as_str().into(),
            component: parameter.component.clone(),
            name: parameter.name.clone(),
            value: value(&parameter.value)?,
        });
        self.durable(put.map(|position| ((), position)))
    }

    fn global_parameters(&self) -> Vec<GlobalParameterView> {
        let view = |parameter: &GlobalParameter| GlobalParameterView {
            name: parameter.name.clone(),
            value: parameter.value.to_admin(),
        };
        self.broker.parameters.read(|all| all.global().map(view).collect())
    }

    fn put_global_parameter(&self, parameter: &GlobalParameterView) -> Result<(), AdminError> {
        check_names(&[&parameter.name])?;
        let (name, value) = (parameter.name.clone(), value(&parameter.value)?);
        self.wait_for(self.broker.put_global_parameter(GlobalParameter { name, value }))?;
        Ok(())
    }

    fn policies(&self) -> Vec<PolicyView> {
        let view = |policy: &Policy| PolicyView {
            vhost: policy.vhost.to_string(),
            name: policy.name.clone(),
            pattern: policy.pattern.clone(),
            apply_to: policy.apply_to.clone(),
            definition: policy.definition.to_admin(),
            priority: policy.priority,
        };
        self.broker.parameters.read(|all| all.policies().map(view).collect())
    }

    fn put_policy(&self, policy: &PolicyView) -> Result<(), AdminError> {
        check_names(&[&policy.name])?;
        let definition = Arguments::from_admin(&policy.definition)
            .map_err(|error| AdminError::BadRequest(error.to_string()))?;
        let put = self.broker.put_policy(Policy {
            vhost: policy.vhost.as_str().into(),
            name: policy.name.clone(),
            pattern: policy.pattern.clone(),
            apply_to: policy.apply_to.clone(),
            definition,
            priority: policy.priority,
        });
        self.durable(put.map(|position| ((), position)))
    }
}
