//! Policies that AWS writes, by name: what those that matter allow.
use super::policy::Statement;

/// The policies of AWS that matter: what they allow, `!` for all but that. None for one that is not known here; an empty list
/// for one that reads and changes no data.
pub(super) fn managed(name: &str) -> Option<Vec<Statement>> {
    let allows: &[&str] = match name {
        "AdministratorAccess" | "AdministratorAccess-Amplify" | "AdministratorAccess-AWSElasticBeanstalk" => &["*"],
        "PowerUserAccess" => &["!", "iam:*", "organizations:*", "account:*"],
        "IAMFullAccess" => &["iam:*", "organizations:Describe*", "organizations:List*"],
        "SystemAdministrator" | "job-function/SystemAdministrator" => {
            &["ec2:*", "rds:*", "cloudwatch:*", "lambda:Create*", "iam:PassRole"]
        }
        "DatabaseAdministrator" => &["dynamodb:*", "rds:*", "redshift:*", "elasticache:*"],
        "AmazonS3FullAccess" => &["s3:*", "s3-object-lambda:*"],
        "AmazonS3ReadOnlyAccess" => &["s3:Get*", "s3:List*"],
        "AmazonDynamoDBFullAccess" | "AmazonDynamoDBFullAccess_v2" => &["dynamodb:*", "dax:*"],
        "AmazonDynamoDBReadOnlyAccess" => &[
            "dynamodb:GetItem",
            "dynamodb:BatchGetItem",
            "dynamodb:Query",
            "dynamodb:Scan",
            "dynamodb:List*",
            "dynamodb:Describe*",
        ],
        "SecretsManagerReadWrite" => &["secretsmanager:*", "kms:DescribeKey"],
        "AmazonSSMFullAccess" => &["ssm:*"],
        "AmazonSSMReadOnlyAccess" => &["ssm:Describe*", "ssm:Get*", "ssm:List*"],
        "AmazonSSMManagedInstanceCore" | "AmazonEC2RoleforSSM" => {
            &["ssm:GetParameter", "ssm:GetParameters", "ssmmessages:*", "ec2messages:*"]
        }
        "AmazonSQSFullAccess" => &["sqs:*"],
        "AmazonSNSFullAccess" => &["sns:*"],
        "AmazonRDSFullAccess" => &["rds:*"],
        "AmazonRDSDataFullAccess" => &["rds-data:*", "secretsmanager:GetSecretValue"],
        "AmazonEC2FullAccess" => &["ec2:*", "elasticloadbalancing:*", "autoscaling:*", "cloudwatch:*"],
        "AmazonKinesisFullAccess" => &["kinesis:*"],
        "AmazonElasticFileSystemClientFullAccess" | "AmazonElasticFileSystemClientReadWriteAccess" => {
            &["elasticfilesystem:Client*"]
        }
        "ReadOnlyAccess" => &[
            "s3:Get*",
            "s3:List*",
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:Scan",
            "ssm:Get*",
            "sqs:Get*",
            "kinesis:Get*",
        ],
        "AWSLambda_FullAccess" | "AWSLambdaFullAccess" => &["lambda:*"],
        "AmazonECS_FullAccess" => &["ecs:*", "ec2:Describe*"],
        "CloudFrontFullAccess" => &["cloudfront:*"],
        "AWSKeyManagementServicePowerUser" => &["kms:Create*", "kms:Describe*", "kms:List*"],
        "SecurityAudit"
        | "ViewOnlyAccess"
        | "AWSSupportAccess"
        | "AmazonEKSClusterPolicy"
        | "AmazonEKSServicePolicy"
        | "AmazonEKSVPCResourceController"
        | "AmazonEKSWorkerNodePolicy"
        | "AmazonEKSWorkerNodeMinimalPolicy"
        | "AmazonEKS_CNI_Policy"
        | "AmazonEKSFargatePodExecutionRolePolicy"
        | "AmazonEKSComputePolicy"
        | "AmazonEKSBlockStoragePolicy"
        | "AmazonEKSLoadBalancingPolicy"
        | "AmazonEKSNetworkingPolicy"
        | "AmazonEC2ContainerRegistryReadOnly"
        | "AmazonEC2ContainerRegistryPullOnly"
        | "AmazonEC2ContainerRegistryPowerUser"
        | "AmazonEC2ReadOnlyAccess"
        | "AmazonEBSCSIDriverPolicy"
        | "AmazonECSTaskExecutionRolePolicy"
        | "AmazonEC2ContainerServiceforEC2Role"
        | "CloudWatchAgentServerPolicy"
        | "CloudWatchLogsFullAccess"
        | "CloudWatchFullAccess"
        | "CloudWatchReadOnlyAccess"
        | "AWSLambdaBasicExecutionRole"
        | "AWSLambdaVPCAccessExecutionRole"
        | "AWSLambdaSQSQueueExecutionRole"
        | "AWSLambdaDynamoDBExecutionRole"
        | "AWSLambdaKinesisExecutionRole"
        | "AWSLambdaRole"
        | "AWSXRayDaemonWriteAccess"
        | "AWSXrayWriteOnlyAccess"
        | "AmazonRDSEnhancedMonitoringRole"
        | "AmazonAPIGatewayPushToCloudWatchLogs"
        | "AmazonAPIGatewayInvokeFullAccess"
        | "AWSConfigRole"
        | "AWS_ConfigRole"
        | "AWSBackupServiceRolePolicyForBackup"
        | "AWSCloudMapRegisterInstanceAccess"
        | "AmazonSSMPatchAssociation"
        | "AutoScalingNotificationAccessRole"
        | "Billing"
        | "AWSBillingReadOnlyAccess" => &[],
        _ => return None,
    };
    if allows.is_empty() {
        return Some(Vec::new());
    }
    let is_not_actions = allows.first() == Some(&"!");
    let actions = allows.iter().filter(|a| **a != "!").map(|a| (*a).to_owned()).collect();
    Some(vec![Statement::allowing(actions, is_not_actions)])
}
