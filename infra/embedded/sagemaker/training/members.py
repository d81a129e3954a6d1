"""Support of each member of CreateTrainingJobRequest and UpdateTrainingJobRequest."""

from infra.embedded.sagemaker.api.members import Honoured, Listed, Members, Refused

_FILES = ("File", "FastFile")
_NO_PIPE = "the embedded AWS gives inputs in File and FastFile mode only"
_NO_RULES = "the embedded AWS runs no Debugger rules; leave them out"
_TOLD = "written to inputdataconfig.json"

TRAINING_JOB = Members(
    "CreateTrainingJob",
    {
        "TrainingJobName": Honoured("unique within region and account"),
        "HyperParameters": Honoured("hyperparameters.json"),
        "AlgorithmSpecification.TrainingImage": Honoured("what a container runs"),
        "AlgorithmSpecification.AlgorithmName": Refused(
            "the embedded AWS has no algorithm resources; name an image, TrainingImage"
        ),
        "AlgorithmSpecification.TrainingInputMode": Honoured(f"the channels' mode; {_TOLD}", _FILES, _NO_PIPE),
        "AlgorithmSpecification.MetricDefinitions": Honoured("FinalMetricDataList, CloudWatch"),
        "AlgorithmSpecification.EnableSageMakerMetricsTimeSeries": Listed(
            "metrics that are defined always go to CloudWatch; SageMaker's own store of time series is Studio's"
        ),
        "AlgorithmSpecification.ContainerEntrypoint": Honoured("the program"),
        "AlgorithmSpecification.ContainerArguments": Honoured("its arguments"),
        "AlgorithmSpecification.TrainingImageConfig.TrainingRepositoryAccessMode": Honoured(
            "images are this machine's Docker's, and those of this AWS's ECR",
            ("Platform",),
            "the embedded AWS reaches no private registry in a VPC; pull the image into this machine's Docker",
        ),
        "AlgorithmSpecification.TrainingImageConfig.TrainingRepositoryAuthConfig": Refused(
            "the embedded AWS logs in to no private registry; pull the image into this machine's Docker"
        ),
        "RoleArn": Honoured("must exist and trust SageMaker"),
        "InputDataConfig[].ChannelName": Honoured("the channel's folder"),
        "InputDataConfig[].DataSource.S3DataSource.S3DataType": Honoured(
            "which objects are read",
            ("S3Prefix", "ManifestFile"),
            "the embedded AWS reads S3Prefix and ManifestFile sources only",
        ),
        "InputDataConfig[].DataSource.S3DataSource.S3Uri": Honoured("their prefix or manifest"),
        "InputDataConfig[].DataSource.S3DataSource.S3DataDistributionType": Honoured(
            f"all, or each host's part; {_TOLD}"
        ),
        "InputDataConfig[].DataSource.S3DataSource.AttributeNames": Refused(
            "attribute names belong to augmented manifests, which need Pipe mode; the embedded AWS has none"
        ),
        "InputDataConfig[].DataSource.S3DataSource.InstanceGroupNames": Honoured("which hosts have the channel"),
        "InputDataConfig[].DataSource.S3DataSource.ModelAccessConfig": Listed(
            "no model here needs a licence agreement"
        ),
        "InputDataConfig[].DataSource.S3DataSource.HubAccessConfig": Refused(
            "the embedded AWS has no JumpStart hub; put the model into a bucket"
        ),
        "InputDataConfig[].DataSource.FileSystemDataSource": Refused(
            "the embedded AWS has no file systems, EFS or FSx; put the data into a bucket, S3DataSource"
        ),
        "InputDataConfig[].DataSource.DatasetSource": Refused(
            "the embedded AWS has no dataset resources; put the data into a bucket, S3DataSource"
        ),
        "InputDataConfig[].ContentType": Honoured(_TOLD),
        "InputDataConfig[].CompressionType": Honoured(
            _TOLD, ("None",), "compressed channels are for Pipe mode only; leave CompressionType out, or None"
        ),
        "InputDataConfig[].RecordWrapperType": Honoured(
            _TOLD, ("None",), "records are wrapped in Pipe mode only; leave RecordWrapperType out, or None"
        ),
        "InputDataConfig[].InputMode": Honoured(f"the channel's mode; {_TOLD}", _FILES, _NO_PIPE),
        "InputDataConfig[].ShuffleConfig": Honoured(
            f"the order of the objects, also before ShardedByS3Key splits them; {_TOLD}"
        ),
        "OutputDataConfig.KmsKeyId": Honoured("must exist; model and output are uploaded with SSE-KMS and this key"),
        "OutputDataConfig.S3OutputPath": Honoured("prefix of the artifacts"),
        "OutputDataConfig.CompressionType": Honoured("model.tar.gz, or the files"),
        "ResourceConfig.InstanceType": Honoured("quota; resourceconfig.json"),
        "ResourceConfig.InstanceCount": Honoured("quota, hosts; resourceconfig.json"),
        "ResourceConfig.VolumeSizeInGB": Listed("must be from 1 to 16,384; the disk is this machine's"),
        "ResourceConfig.VolumeKmsKeyId": Listed("must exist; the disk is this machine's, encrypted or not"),
        "ResourceConfig.KeepAlivePeriodInSeconds": Honoured(
            "a warm pool: WarmPoolStatus, its quota, the next job like it"
        ),
        "ResourceConfig.InstanceGroups": Honoured("one cluster of all their hosts; quotas; resourceconfig.json"),
        "ResourceConfig.TrainingPlanArn": Refused("the embedded AWS has no training plans; leave it out"),
        "ResourceConfig.InstancePlacementConfig": Refused("the embedded AWS has no UltraServers; leave it out"),
        "ResourceConfig.InstancePreferences": Refused(
            "the embedded AWS does not choose among instance types; give InstanceType and InstanceCount"
        ),
        "ResourceConfig.SelectedInstanceType": Refused("it belongs to DescribeTrainingJob's answer; leave it out"),
        "ResourceConfig.SelectedInstanceCount": Refused("it belongs to DescribeTrainingJob's answer; leave it out"),
        "VpcConfig": Listed("subnets and security groups must exist; the network is this machine's"),
        "StoppingCondition.MaxRuntimeInSeconds": Honoured("MaxRuntimeExceeded"),
        "StoppingCondition.MaxWaitTimeInSeconds": Honoured("MaxWaitTimeExceeded"),
        "StoppingCondition.MaxPendingTimeInSeconds": Listed(
            "within the quotas there is always capacity: no job is Pending"
        ),
        "Tags": Honoured("ListTags, Search"),
        "EnableNetworkIsolation": Honoured("containers have no network; processes get no endpoint of this AWS"),
        "EnableInterContainerTrafficEncryption": Listed("the hosts are one machine; nothing between them leaves it"),
        "EnableManagedSpotTraining": Honoured("spot quota, interruptions, price"),
        "CheckpointConfig": Honoured("copied to S3 and back; checkpointconfig.json"),
        "DebugHookConfig": Honoured("debughookconfig.json; its LocalPath is copied to S3OutputPath/NAME/debug-output"),
        "DebugRuleConfigurations": Refused(_NO_RULES),
        "TensorBoardOutputConfig": Honoured(
            "tensorboardoutputconfig.json; its LocalPath is copied to S3OutputPath/NAME/tensorboard-output"
        ),
        "ExperimentConfig": Refused("the embedded AWS does not join jobs to experiments; leave it out"),
        "ProfilerConfig.S3OutputPath": Honoured(
            "profilerconfig.json; /opt/ml/output/profiler is copied to S3OutputPath/NAME/profiler-output"
        ),
        "ProfilerConfig.ProfilingIntervalInMilliseconds": Refused(
            "the embedded AWS takes no system metrics: they would be this machine's; leave it out"
        ),
        "ProfilerConfig.ProfilingParameters": Honoured("profilerconfig.json, which the program's profiler reads"),
        "ProfilerConfig.DisableProfiler": Honoured("ProfilingStatus; with true nothing is copied"),
        "ProfilerRuleConfigurations": Refused(_NO_RULES),
        "Environment": Honoured("the program's environment"),
        "RetryStrategy": Honoured("new attempts after InternalServerError"),
        "RemoteDebugConfig.EnableRemoteDebug": Refused(
            "the embedded AWS has no remote debugging; look into the container with docker exec"
        ),
        "InfraCheckConfig": Listed("there is no infrastructure to check"),
        "SessionChainingConfig": Listed("all requests are made as root, without session tags"),
        "ServerlessJobConfig": Refused("the embedded AWS has no serverless jobs; give ResourceConfig and an image"),
        "MlflowConfig": Refused("the embedded AWS has no MLflow; leave it out"),
        "ModelPackageConfig": Refused("the embedded AWS registers no model packages; leave it out"),
    },
)

TRAINING_UPDATE = Members(
    "UpdateTrainingJob",
    {"ProfilerConfig": Refused("the profiler of a running job is as it was created; create another job")},
    {"": TRAINING_JOB},
)
